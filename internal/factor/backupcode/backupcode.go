// Package backupcode is a sheet of ten codes on paper, each good for one second step when nothing else is at hand.
package backupcode

import "sallyport/internal/auth"

// Kind is how the rest of the product calls this factor.
const Kind auth.Kind = "backupcode"
