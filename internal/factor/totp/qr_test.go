package totp

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"net/url"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"sallyport/internal/db/dbtest"
)

const someSecret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"

var sites = []struct{ issuer, login string }{
	{"Sallyport", "ann@example.com"},
	{"My Company", "ann@example.com"},
	{"Acme: Labs", "ann@example.com"},
	{"R&D = 100% ?#/", "ann+totp@example.com"},
	{"Bücher & Söhne", "jörg@bücher.example"},
	{"東京の会社", "太郎@例え.jp"},
	{"a+b", "a+b@example.com"},
	{"🏰", "o'neil@example.com"},
	{`"quoted" <b>`, "x@[192.0.2.1]"},
	{"%20", "50%off@example.com"},
}

// T1, T2. github.com/google/google-authenticator/wiki/Key-Uri-Format
func TestAnAppReadsIssuerLoginAndSecretFromTheAddress(t *testing.T) {
	for _, c := range sites {
		text := uri(c.issuer, c.login, someSecret)
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "otpauth" || u.Host != "totp" || u.Fragment != "" {
			t.Errorf("%s: %+v, %v", text, u, err)
			continue
		}
		// No app agrees with another on what a plus means, and some stop at the first colon.
		if strings.Contains(u.RawQuery, "+") || strings.ContainsAny(text, " \"<>#") {
			t.Errorf("%s has a character that apps read differently", text)
		}
		issuer, login, ok := strings.Cut(strings.TrimPrefix(u.Path, "/"), ":")
		if !ok || login != c.login || issuer != strings.ReplaceAll(c.issuer, ":", " ") {
			t.Errorf("%s: label %q, %q", text, issuer, login)
		}
		query := u.Query()
		if query.Get("secret") != someSecret || len(query) != 2 {
			t.Errorf("%s: %v, want secret and issuer alone", text, query)
		}
	}
}

// "If both issuer parameter and issuer label prefix are present, they should be equal", and "neither may itself
// contain a colon": an app that believes the parameter would show another account than one that believes the label.
func TestIssuerParameterAndLabelAreEqual(t *testing.T) {
	for _, c := range sites {
		u, err := url.Parse(uri(c.issuer, c.login, someSecret))
		if err != nil {
			t.Fatal(err)
		}
		label, _, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), ":")
		if parameter := u.Query().Get("issuer"); parameter != label || strings.Contains(parameter, ":") {
			t.Errorf("parameter %q, label %q", parameter, label)
		}
	}
}

var (
	viewBox = regexp.MustCompile(`viewBox="-4 -4 (\d+) (\d+)"`)
	run     = regexp.MustCompile(`M(\d+) (\d+)h(\d+)v1h-(\d+)z`)
)

// drawn turns the SVG into the picture a scanner sees, three pixels to a module.
func drawn(t *testing.T, picture string) image.Image {
	t.Helper()
	box := viewBox.FindStringSubmatch(picture)
	if box == nil || box[1] != box[2] {
		t.Fatal("no square in ", picture[:200])
	}
	n := func(s string) int { i, _ := strconv.Atoi(s); return i }
	const scale, edge = 3, 4
	side := n(box[1])
	img := image.NewGray(image.Rect(0, 0, side*scale, side*scale))
	for i := range img.Pix {
		img.Pix[i] = 0xff
	}
	runs := run.FindAllStringSubmatch(picture, -1)
	if len(runs) < side {
		t.Fatalf("%d runs of modules", len(runs))
	}
	for _, r := range runs {
		if r[3] != r[4] {
			t.Fatal("a run that does not close: ", r[0])
		}
		for x := n(r[1]); x < n(r[1])+n(r[3]); x++ {
			for i := range scale * scale {
				img.SetGray((x+edge)*scale+i%scale, (n(r[2])+edge)*scale+i/scale, color.Gray{})
			}
		}
	}
	return img
}

// T1: read back by zbar, which knows nothing of us.
func TestAScannerReadsTheQRCode(t *testing.T) {
	zbar, err := exec.LookPath("zbarimg")
	if err != nil {
		dbtest.Missing(t, "zbarimg: apt install zbar-tools")
	}
	for _, c := range sites {
		want := uri(c.issuer, c.login, someSecret)
		picture, err := svg(want, "QR code")
		if err != nil {
			t.Fatal(err)
		}
		var file bytes.Buffer
		if err := png.Encode(&file, drawn(t, picture)); err != nil {
			t.Fatal(err)
		}
		scan := exec.CommandContext(t.Context(), zbar, "--quiet", "--raw", "-Sdisable", "-Sqrcode.enable", "-")
		scan.Stdin = &file
		got, err := scan.Output()
		if err != nil || strings.TrimSuffix(string(got), "\n") != want {
			t.Errorf("read %q, want %q, %v", got, want, err)
		}
	}
}

// T1: the picture has a text alternative, a quiet edge, and no way to bring in anything else.
func TestTheQRCodeIsAPictureAndNothingElse(t *testing.T) {
	picture, err := svg(uri("<script>", `"><script>alert(1)</script>`, someSecret), "QR code")
	if err != nil {
		t.Fatal(err)
	}
	for _, needs := range []string{`role="img"`, `aria-label="QR code"`, `fill="#fff"`, `viewBox="-4 -4 `} {
		if !strings.Contains(picture, needs) {
			t.Errorf("no %s", needs)
		}
	}
	for _, never := range []string{"script", "href", "style=", "alert", someSecret} {
		if strings.Contains(picture, never) {
			t.Errorf("it has %s", never)
		}
	}
}

// A QR code holds some 2,300 bytes. What does not fit is an error, never half a code.
func TestWhatDoesNotFitIsNoQRCode(t *testing.T) {
	if picture, err := svg(strings.Repeat("x", 5000), "QR code"); err == nil || picture != "" {
		t.Error(err)
	}
}
