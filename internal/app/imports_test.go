package app_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

// floors is docs/architecture.md: a package imports only packages on a lower floor, so siblings never know each other.
var floors = map[string]int{
	"auth": 0,
	"db":   1, "secret": 1, "policy": 1, "visit": 1, "notify/mail": 1, "notify/mail/mailtest": 1, "notify/sms": 1, "notify/wording": 1, "web/chart": 1,
	"db/dbtest": 2, "user": 2, "workgroup": 2, "roster": 2, "throttle": 2, "audit": 2, "web": 2, "config": 2, "notify": 2,
	"factor/password": 3, "factor/totp": 3, "factor/passkey": 3, "factor/onetime": 3, "factor/backupcode": 3, "factor/accesspass": 3, "factor/factortest": 3, "factor/softkey": 3, "audit/plain": 3, "directory": 3,
	"session": 4, "trust": 4,
	"signin": 5, "stepup": 5, "account": 5, "setup": 5, "notice": 5, "recovery": 5, "admin/texts": 5, "admin/people": 5, "admin/events": 5, "admin/overview": 5, "reminder": 5, "admin/groups": 5,
	"app": 6,
	"cli": 7,
}

func TestPackagesImportOnlyLowerFloors(t *testing.T) {
	const internal = "sallyport/internal/"
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", internal+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		seen++
		name := strings.TrimPrefix(p.ImportPath, internal)
		floor, ok := floors[name]
		if !ok {
			t.Errorf("%s stands on no floor", name)
		}
		for _, i := range p.Imports {
			below, ours := strings.CutPrefix(i, internal)
			if !ours {
				if name == "auth" && strings.Contains(i, ".") {
					t.Errorf("auth imports %s, which is not the standard library", i)
				}
				continue
			}
			if floors[below] >= floor {
				t.Errorf("%s (floor %d) imports %s (floor %d)", name, floor, below, floors[below])
			}
		}
	}
	if seen != len(floors) {
		t.Errorf("%d packages, %d floors named: one of them is gone", seen, len(floors))
	}
}
