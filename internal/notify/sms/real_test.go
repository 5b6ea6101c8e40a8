package sms

import (
	"bufio"
	"encoding/hex"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// realCentre runs SMPP that somebody else wrote, on a port of its own, and returns its address and what it prints.
func realCentre(t *testing.T, password string) (address string, lines *bufio.Scanner) {
	t.Helper()
	if out, err := exec.Command("perl", "-MNet::SMPP", "-MEncode::GSM0338", "-e1").CombinedOutput(); err != nil {
		why := "no other SMPP here to test against: apt-get install perl libnet-smpp-perl"
		if os.Getenv("SALLYPORT_TEST_ALL") != "" {
			t.Fatalf("%s (%v: %s)", why, err, out)
		}
		t.Skip(why)
	}
	centre := exec.Command("perl", "testdata/smsc.pl", good["smpp"].Account, password)
	centre.Stderr = os.Stderr
	read, write := io.Pipe()
	centre.Stdout = write
	if err := centre.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		centre.Process.Kill()
		read.Close()
		centre.Wait()
	})
	lines = bufio.NewScanner(read)
	if !lines.Scan() {
		t.Fatal("the SMS centre does not start")
	}
	return "127.0.0.1:" + lines.Text(), lines
}

// Bytes that our own fake takes could be wrong twice over. This centre shares no code with us, nor its GSM alphabet.
func TestARealSMSCTakesIt(t *testing.T) {
	address, lines := realCentre(t, string(good["smpp"].Secret))
	p := opened(t, at("smpp", "smpp://"+address))
	answered := map[string]string{}
	line := func() []string {
		for lines.Scan() {
			switch f := strings.Split(lines.Text(), "\t"); f[0] {
			case "unexpected":
				t.Error(f)
			case "answered":
				answered[f[1]] = f[2]
			default:
				return f
			}
		}
		t.Fatal("the SMS centre ended")
		return nil
	}
	all := strings.ReplaceAll(basic, "\x1b", "") + "\f^{}\\[~]|€."
	for text, coding := range map[string]string{
		hello().Text: "0", "Code 1 для вас 😀": "8", all: "0", strings.Repeat("€uro ", 100): "0", strings.Repeat("щ😀", 90): "8", "a\x00b\x1b": "8",
	} {
		m := hello()
		m.Text = text
		taken(t, p.Send(t.Context(), m))
		var whole strings.Builder
		reference := ""
		for number := range Segments(text) {
			f := line()
			if got := strings.Join(f[:6], " "); got != "5 0 Sallyport 1 1 46701234567" || f[7] != coding {
				t.Error(got, "data_coding", f[7])
			}
			if number == 0 {
				reference = f[8]
			}
			if want := []string{reference, strconv.Itoa(Segments(text)), strconv.Itoa(number + 1)}; strings.Join(f[8:11], " ") != strings.Join(want, " ") {
				t.Error(f[8:11], "want", want)
			}
			part, err := hex.DecodeString(f[11])
			if err != nil {
				t.Fatal(err)
			}
			whole.Write(part)
		}
		if whole.String() != text {
			t.Errorf("it understood\n%q, not\n%q", whole.String(), text)
		}
	}
	for to, judge := range map[string]func(*testing.T, error){"+46700000001": refused, "+46700000058": later, "+46700000002": taken} {
		m := hello()
		m.To = to
		judge(t, p.Send(t.Context(), m))
		line()
	}
	if answered["80000015"] != "0" || answered["80000005"] != "0" || len(answered) != 2 {
		t.Error("its enquire_link and deliver_sm were answered with ", answered)
	}
}

func TestARealSMSCRefusesAWrongPassword(t *testing.T) {
	address, _ := realCentre(t, "another")
	later(t, opened(t, at("smpp", "smpp://"+address)).Send(t.Context(), hello()))
}
