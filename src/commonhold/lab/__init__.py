"""A whole grid on one machine, of real processes on loopback, to rehearse with: it is built, broken and mended."""
