// Package accesspass is a second step that an administrator gives to somebody who is locked out: once, and not for long.
package accesspass

import "sallyport/internal/auth"

// Kind is how the rest of the product calls this factor.
const Kind auth.Kind = "accesspass"
