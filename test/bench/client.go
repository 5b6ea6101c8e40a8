package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// A caller is one client with one connection that stays open. It sends requests that were made in advance and reads no
// more of an answer than it must, so that what we measure is the server.
type caller struct {
	conn net.Conn
	buf  []byte
	// The latest answer, until the next request.
	status     int
	head, body []byte
}

// patience is how long an answer may take before the run is given up.
const patience = 20 * time.Second

// call connects, from another address of this machine if from is not empty. A site is localhost, because passkeys belong
// to a name; we go where it listens without asking what that name means.
func call(address, from string) (*caller, error) {
	address = strings.Replace(address, "localhost", "127.0.0.1", 1)
	d := net.Dialer{Timeout: 5 * time.Second}
	if from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	conn, err := d.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return &caller{conn: conn, buf: make([]byte, 16<<10)}, nil
}

func (c *caller) close() { c.conn.Close() }

// ask sends a request and reads the whole answer.
func (c *caller) ask(request []byte) error {
	if _, err := c.conn.Write(request); err != nil {
		return err
	}
	n := 0
	for {
		more, err := c.conn.Read(c.buf[n:])
		if err != nil {
			return err
		}
		n += more
		if whole, err := c.parse(c.buf[:n]); whole || err != nil {
			return err
		}
		if n == len(c.buf) {
			return errors.New("an answer is longer than we read")
		}
	}
}

var (
	end    = []byte("\r\n\r\n")
	length = []byte("\r\nContent-Length: ")
)

// parse is true once b is a whole answer.
func (c *caller) parse(b []byte) (whole bool, err error) {
	i := bytes.Index(b, end)
	if i < 0 {
		return false, nil
	}
	head, body := b[:i+2], b[i+4:]
	size := 0
	if at := bytes.Index(head, length); at >= 0 {
		for _, digit := range head[at+len(length):] {
			if digit == '\r' {
				break
			}
			size = size*10 + int(digit-'0')
		}
	} else if head[9] != '2' || head[10] != '0' || head[11] != '4' {
		return false, fmt.Errorf("an answer without a length: %s", head)
	}
	if len(body) < size {
		return false, nil
	}
	c.status = int(head[9]-'0')*100 + int(head[10]-'0')*10 + int(head[11]-'0')
	c.head, c.body = head, body
	return true, nil
}

// header is the value of one of the latest answer, spelled as Go's server spells it.
func (c *caller) header(name string) string {
	_, rest, _ := bytes.Cut(c.head, []byte("\r\n"+name+": "))
	value, _, _ := bytes.Cut(rest, []byte("\r\n"))
	return string(value)
}

// expect asks and fails for another status.
func (c *caller) expect(status int, request []byte) error {
	if err := c.ask(request); err != nil {
		return err
	}
	if c.status != status {
		return fmt.Errorf("status %d instead of %d: %s", c.status, status, c.body)
	}
	return nil
}

// get, remove and post make requests. A cookie is "name=value".
func get(host, path, cookie string) []byte    { return request("GET", host, path, cookie, "") }
func remove(host, path, cookie string) []byte { return request("DELETE", host, path, cookie, "") }
func post(host, path, cookie, json string) []byte {
	return request("POST", host, path, cookie, json)
}

func request(method, host, path, cookie, json string) []byte {
	r := method + " " + path + " HTTP/1.1\r\nHost: " + host + "\r\nUser-Agent: bench\r\nAccept: application/json\r\n"
	if cookie != "" {
		r += "Cookie: " + cookie + "\r\n"
	}
	if json != "" {
		r += "Content-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(json)) + "\r\n"
	}
	return []byte(r + "\r\n" + json)
}
