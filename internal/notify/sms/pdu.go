package sms

import (
	"encoding/binary"
	"fmt"
	"io"
)

// A pdu is one SMPP message on the wire, section 3.2.
type pdu struct {
	id, status, sequence uint32
	body                 []byte
}

// command_id, section 5.1.2.1. A response has the number of its request and the highest bit.
const (
	genericNack     = 0x80000000
	submitSM        = 0x00000004
	deliverSM       = 0x00000005
	unbind          = 0x00000006
	bindTransceiver = 0x00000009
	enquireLink     = 0x00000015
	alert           = 0x00000102 // alert_notification: the one request without an answer
	response        = 0x80000000
)

const (
	statusUnknownCommand = 0x03 // ESME_RINVCMDID
	statusNotBound       = 0x04 // ESME_RINVBNDSTS
)

const headerSize = 16

func (p pdu) bytes() []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(headerSize+len(p.body)))
	b = binary.BigEndian.AppendUint32(b, p.id)
	b = binary.BigEndian.AppendUint32(b, p.status)
	b = binary.BigEndian.AppendUint32(b, p.sequence)
	return append(b, p.body...)
}

func readPDU(r io.Reader) (pdu, error) {
	var head [headerSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return pdu{}, err
	}
	field := func(i int) uint32 { return binary.BigEndian.Uint32(head[4*i:]) }
	if field(0) < headerSize || field(0) > longest {
		return pdu{}, fmt.Errorf("a PDU of %d bytes is none", field(0))
	}
	p := pdu{id: field(1), status: field(2), sequence: field(3), body: make([]byte, field(0)-headerSize)}
	_, err := io.ReadFull(r, p.body)
	return p, err
}

// cString appends text and the NUL that ends it. Text has none: it was checked where it came in.
func cString(b []byte, text string) []byte { return append(append(b, text...), 0) }
