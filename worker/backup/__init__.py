"""All that the store knows, as lines to be kept elsewhere and read in again: `relance export`, `relance import`."""
