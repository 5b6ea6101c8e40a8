package cli

// limitMemory is filled in below.
func limitMemory() {}
