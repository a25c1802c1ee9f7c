"""The block store: append-only segments, a catalogue of retain sets, an index that can be made anew from them."""
