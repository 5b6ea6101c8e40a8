// Command sallyport is the sign-in and multi-factor server.
package main

import (
	"os"

	"sallyport/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
