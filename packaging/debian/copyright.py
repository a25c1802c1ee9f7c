"""Print the package's copyright file: Commonhold's licence, and that of every package that was put in beside it."""

import sys
from importlib.metadata import Distribution, distributions

HEADER = """Commonhold
Copyright: the Commonhold authors
License: MIT or Apache-2.0

On Debian systems the text of the Apache licence, version 2.0, is in /usr/share/common-licenses/Apache-2.0. The text
of the MIT licence, and the licence texts of the packages below, are beside each one's metadata in
/usr/lib/commonhold/lib/python3.11/site-packages/NAME-VERSION.dist-info.
"""


def licence(package: Distribution) -> str:
    """What a package says of itself, in a line."""
    said = package.metadata
    classified = [row.rpartition(" :: ")[2] for row in said.get_all("Classifier", []) if row.startswith("License ::")]
    short = (said.get("License") or "").strip()
    known = said.get("License-Expression") or ", ".join(classified) or (short if "\n" not in short else "")
    return known or "see its licence file"


print(HEADER)
for package in sorted(distributions(path=[sys.argv[1]]), key=lambda one: one.name.lower()):
    if package.name != "commonhold":
        author = package.metadata.get("Author") or package.metadata.get("Author-email") or f"the {package.name} authors"
        print(f"{package.name} {package.version}")
        print(f"Copyright: {' '.join(author.split())}\nLicense: {licence(package)}\n")
