// Package mailtest is a real mail server for tests: Debian's Postfix, private to one test, on the loopback.
//
// It promises to deliver whatever it accepts into a folder where the test reads it, never to another machine, and to
// be gone with the test. Without Postfix, or without the rights to start it, a test is skipped and says so; with
// SALLYPORT_TEST_ALL set, a skip is a failure.
package mailtest

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A Box is a mail server and what it received. It takes mail for every address in the world, but says 550 for good to
// unknown@ and 450 for now to later@, at any domain.
type Box struct {
	Addr    string         // host:port for STARTTLS, which it requires
	TLSAddr string         // the same with TLS from the first byte
	Plain   string         // the same without TLS
	RootCAs *x509.CertPool // that verify it
	CAFile  string         // the same in PEM
	dir     string
}

const daemons = "/usr/lib/postfix/sbin"

// Postfix starts a server and waits until it answers.
func Postfix(t *testing.T) *Box {
	t.Helper()
	if _, err := os.Stat(filepath.Join(daemons, "master")); err != nil {
		missing(t, "Postfix: apt-get install postfix")
	}
	if os.Getuid() != 0 { // as everybody on a machine of their own; where tests run by themselves they are root
		if os.Getenv("CI") != "" {
			missing(t, "the rights of root, without which Postfix does not start")
		}
		t.Skip("Postfix starts as root alone")
	}
	for range 3 { // a port may be taken between our choice and its use
		b := prepare(t)
		if b.start(t) {
			return b
		}
		log, _ := os.ReadFile(filepath.Join(b.dir, "log"))
		t.Logf("Postfix did not start:\n%s", log)
	}
	t.Fatal("Postfix does not start")
	return nil
}

func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("SALLYPORT_TEST_ALL") != "" {
		t.Fatal("missing:", what)
	}
	t.Skip("missing:", what)
}

// The catch-all is a folder of user nobody: Postfix delivers nothing as root. regexp tables need no file of their own.
const mainCF = `
compatibility_level = 3.6
queue_directory = %[1]s/queue
data_directory = %[1]s/data
maillog_file = %[1]s/log
maillog_file_prefixes = %[1]s
myhostname = relay.test
mydestination =
mynetworks =
inet_protocols = ipv4
alias_maps =
local_recipient_maps =
local_transport = error:this server delivers into one folder only
default_transport = error:this server delivers into one folder only
relay_transport = error:this server delivers into one folder only
virtual_mailbox_domains = static:all
virtual_mailbox_base = %[1]s
virtual_mailbox_maps = regexp:{{!/^unknown@/ box/}}
virtual_minimum_uid = 1
virtual_uid_maps = static:%[2]s
virtual_gid_maps = static:%[3]s
smtpd_relay_restrictions = reject_unauth_destination
smtpd_recipient_restrictions = check_recipient_access regexp:{{/^later@/ 450 4.2.1 busy}}
smtpd_peername_lookup = no
smtpd_tls_chain_files = %[1]s/key.pem, %[1]s/cert.pem
smtpd_tls_security_level = encrypt
`

const masterCF = `
%[1]s inet n - n - - smtpd
%[2]s inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
%[3]s inet n - n - - smtpd -o smtpd_tls_security_level=none
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
error unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
`

// prepare writes the configuration and the folders, each for its owner.
func prepare(t *testing.T) *Box {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "sallyport-postfix.") // not TMPDIR, which may be closed to the server's users
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	b := &Box{Addr: free(t), TLSAddr: free(t), Plain: free(t), CAFile: filepath.Join(dir, "ca.pem"), dir: dir}
	ca, cert, key := Certificate(t, "127.0.0.1")
	b.RootCAs = x509.NewCertPool()
	b.RootCAs.AppendCertsFromPEM(ca)

	nobody := ids(t, "nobody")
	write := func(name, text string, mode os.FileMode) {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), mode))
	}
	write("ca.pem", string(ca), 0o644)
	write("cert.pem", string(cert), 0o644)
	write("key.pem", string(key), 0o600)
	write("main.cf", fmt.Sprintf(mainCF, dir, nobody.Uid, nobody.Gid), 0o644)
	write("master.cf", fmt.Sprintf(masterCF, b.Addr, b.TLSAddr, b.Plain), 0o644)
	folder(t, filepath.Join(dir, "box"), nobody)
	folder(t, filepath.Join(dir, "queue"), ids(t, "root"))
	folder(t, filepath.Join(dir, "queue", "pid"), ids(t, "root"))
	folder(t, filepath.Join(dir, "data"), ids(t, "postfix"))
	for name := range strings.FieldsSeq("active bounce corrupt defer deferred flush hold incoming maildrop private public saved trace") {
		folder(t, filepath.Join(dir, "queue", name), ids(t, "postfix"))
	}
	return b
}

func folder(t *testing.T, path string, owner *user.User) {
	t.Helper()
	uid, _ := strconv.Atoi(owner.Uid)
	gid, _ := strconv.Atoi(owner.Gid)
	must(t, os.Mkdir(path, 0o755))
	must(t, os.Chown(path, uid, gid))
}

func ids(t *testing.T, name string) *user.User {
	t.Helper()
	u, err := user.Lookup(name)
	must(t, err)
	return u
}

// start runs the server in a process group of its own, by which all of it is stopped.
func (b *Box) start(t *testing.T) bool {
	t.Helper()
	master := exec.Command(filepath.Join(daemons, "master"), "-c", b.dir, "-d")
	master.Dir = "/"
	master.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	must(t, master.Start())
	ended := make(chan struct{})
	go func() {
		master.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		syscall.Kill(-master.Process.Pid, syscall.SIGKILL) // there is nothing that it should save
		<-ended
	})
	for range 200 {
		select {
		case <-ended:
			return false
		case <-time.After(50 * time.Millisecond):
		}
		if greets(b.Plain) {
			return true
		}
	}
	return false
}

func greets(addr string) bool {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	line := make([]byte, 200)
	n, _ := c.Read(line)
	c.Write([]byte("QUIT\r\n"))
	return bytes.HasPrefix(line[:n], []byte("220 relay.test"))
}

// free is an address where nobody listens now.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().String()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
