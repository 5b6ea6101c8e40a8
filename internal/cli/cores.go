package cli

import "runtime"

// shareCores lets more of our work run at once than there are cores. Password hashes take whole cores for as long as
// they last; with a thread for each hash and as many for everything else, the kernel shares the cores between them, and
// a session check waits for its turn, not for the end of a hash.
func shareCores() { runtime.GOMAXPROCS(2 * runtime.NumCPU()) }
