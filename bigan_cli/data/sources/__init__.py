"""Where images come from: files, folders, lists and archives, here or in an object store."""
