"""Tests of the ipc."""
