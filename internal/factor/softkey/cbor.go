package softkey

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
)

// A Map is a CBOR map; its keys are int or string.
type Map map[any]any

// Encoded is CBOR, or what pretends to be, to stand where a value belongs.
type Encoded []byte

// CBOR encodes an int, string, []byte, []any, Map or Encoded as CTAP2 wants it. It panics at anything else.
func CBOR(v any) []byte {
	switch v := v.(type) {
	case Encoded:
		return v
	case int:
		if v < 0 {
			return head(1, -1-v)
		}
		return head(0, v)
	case []byte:
		return append(head(2, len(v)), v...)
	case string:
		return append(head(3, len(v)), v...)
	case []any:
		b := head(4, len(v))
		for _, item := range v {
			b = append(b, CBOR(item)...)
		}
		return b
	case Map:
		values := map[string][]byte{}
		for key, value := range v {
			values[string(CBOR(key))] = CBOR(value)
		}
		b := head(5, len(v))
		for _, key := range slices.Sorted(maps.Keys(values)) { // for int and string the order of CTAP2
			b = slices.Concat(b, []byte(key), values[key])
		}
		return b
	}
	panic(fmt.Sprintf("softkey: no CBOR for %T", v))
}

// head is the major type and the argument of RFC 8949 section 3, as short as can be.
func head(major byte, n int) []byte {
	major <<= 5
	switch {
	case n < 24:
		return []byte{major | byte(n)}
	case n < 1<<8:
		return []byte{major | 24, byte(n)}
	case n < 1<<16:
		return binary.BigEndian.AppendUint16([]byte{major | 25}, uint16(n))
	}
	return binary.BigEndian.AppendUint32([]byte{major | 26}, uint32(n))
}
