"""The live watch: numbers of a few fixed images while training goes on, and warnings when it goes wrong."""
