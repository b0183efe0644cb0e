"""Images: decoding and encoding of files, domains, crops, and the stream of batches."""
