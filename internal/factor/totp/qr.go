package totp

import (
	"fmt"
	"net/url"
	"strings"

	"rsc.io/qr"
)

// uri is what an authenticator app scans. github.com/google/google-authenticator/wiki/Key-Uri-Format
func uri(issuer, login, secret string) string {
	issuer = strings.ReplaceAll(issuer, ":", " ") // the label is divided by a colon
	// The defaults (SHA1, 6, 30) are left out: some apps refuse to see them.
	query := url.Values{"secret": {secret}, "issuer": {issuer}}.Encode()
	label := url.PathEscape(issuer + ":" + login)
	return "otpauth://totp/" + label + "?" + strings.ReplaceAll(query, "+", "%20") // apps show a plus as it is
}

// quiet is the empty edge a scanner needs around the code, in modules: ISO/IEC 18004 section 6.3.8.
const quiet = 4

// svg draws text as a QR code. The path runs along rows, one rectangle for each run of dark modules.
func svg(text, label string) (string, error) {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return "", fmt.Errorf("draw QR code: %w", err)
	}
	var path strings.Builder
	for y := range code.Size {
		for x := 0; x < code.Size; x++ {
			run := 0
			for code.Black(x+run, y) { // false beyond the edge
				run++
			}
			if run > 0 {
				fmt.Fprintf(&path, "M%d %dh%dv1h-%dz", x, y, run, run)
				x += run
			}
		}
	}
	size := code.Size + 2*quiet
	return fmt.Sprintf(`<svg class="qr" xmlns="http://www.w3.org/2000/svg" viewBox="-%d -%d %d %d" role="img" aria-label="%s" shape-rendering="crispEdges"><path d="M-%d -%dh%dv%dh-%dz" fill="#fff"/><path d="%s"/></svg>`,
		quiet, quiet, size, size, label, quiet, quiet, size, size, size, path.String()), nil
}
