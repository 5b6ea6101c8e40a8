package app_test

import (
	"path/filepath"
	"testing"

	"sallyport/internal/config"
)

// Every example is complete: it starts, and nothing of it is unsafe.
func TestTheExamplePoliciesAreComplete(t *testing.T) {
	files, err := filepath.Glob("../../examples/policies/*.toml")
	if err != nil || len(files) != 5 {
		t.Fatal(files, err)
	}
	for _, file := range append(files, "../../deploy/sallyport.toml") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data := t.TempDir()
			c, err := config.Load(file, func(name string) string {
				return map[string]string{"SALLYPORT_DATA": data, "SALLYPORT_SMS_SECRET": "a token"}[name]
			})
			if err != nil {
				t.Fatal(err)
			}
			w := worldOn(t, filepath.Join(data, "test.db"), func(mine *config.Config) { c.Database = mine.Database; *mine = c })
			if reasons := w.config.Unsafe(); len(reasons) > 0 {
				t.Error(reasons)
			}
		})
	}
}
