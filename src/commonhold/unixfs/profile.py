"""Profiles: every parameter that decides which CID a file or tree gets. Source: IPIP-0499."""

from dataclasses import dataclass, replace
from enum import Enum

from commonhold.errors import HoldError, Kind
from commonhold.formats import cid as cids
from commonhold.formats import multihash
from commonhold.formats.cid import Cid
from commonhold.formats.unixfs import Mtime


class Estimate(Enum):
    """How a directory's size is estimated when it is asked whether to shard it."""

    LINKS_BYTES = "links-bytes"  # names and CIDs alone
    BLOCK_BYTES = "block-bytes"  # the whole serialised block


@dataclass(frozen=True, slots=True)
class Profile:
    """Sizes in bytes; `width` in children of a file node; a directory whose estimate exceeds `threshold` is sharded."""

    name: str
    cid_version: int
    chunk_size: int
    raw_leaves: bool
    width: int
    fanout: int
    threshold: int
    estimate: Estimate

    def leaf_cid(self, digest: bytes) -> Cid:
        """The CID of a leaf by its block's sha2-256 digest."""
        if self.raw_leaves:
            return cids.from_digest(cids.RAW, digest)
        hashed = multihash.from_sha2_256_digest(digest)
        return cids.make_v0(hashed) if self.cid_version == 0 else cids.make_v1(cids.DAG_PB, hashed)


V1_2025 = Profile("unixfs-v1-2025", 1, 1 << 20, True, 1024, 256, 256 << 10, Estimate.BLOCK_BYTES)
V0_2015 = Profile("unixfs-v0-2015", 0, 256 << 10, False, 174, 256, 256 << 10, Estimate.LINKS_BYTES)
PROFILES = {profile.name: profile for profile in (V1_2025, V0_2015)}


def by_name(name: str) -> Profile:
    """Return a profile by its name."""
    try:
        return PROFILES[name]
    except KeyError:
        why = f"no such profile; known are {', '.join(PROFILES)}"
        raise HoldError("add", Kind.USAGE, repr(name)[:80], why, hint=f"--profile {V1_2025.name}") from None


def cid_for(profile: Profile, data: bytes) -> Cid:
    """Return the CID of a dag-pb block in the profile's version."""
    hashed = multihash.sha2_256(data)
    return cids.make_v0(hashed) if profile.cid_version == 0 else cids.make_v1(cids.DAG_PB, hashed)


def with_chunk_size(profile: Profile, size: int) -> Profile:
    """Return the profile cutting files into other fixed chunks, of `size` bytes."""
    return replace(profile, chunk_size=size)


def with_attributes(profile: Profile) -> Profile:
    """Return the profile for files that carry a mode or time: a raw leaf has no place for them.

    Kubo does the same for every file of such an add, whatever its size, and so must whoever wants its CIDs.
    """
    return replace(profile, raw_leaves=False)


def effective_profile(profile: Profile, mode: int | None, mtime: Mtime | None) -> Profile:
    """Return the profile that a file with these attributes is built by."""
    return profile if mode is None and mtime is None else with_attributes(profile)
