"""Records out of files, folders and archives: what they are packed in, how they are laid out, and their limits."""
