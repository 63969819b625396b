package serde

// String returns the serde of strings, compatible with Kafka's StringSerializer for valid UTF-8.
//
// Bytes are kept as they are, in both directions. Kafka's strings are UTF-8, but a key that another program wrote
// must come out as it went in, or the record would change its partition: invalid UTF-8 is neither rejected nor
// replaced.
//
// Decode copies. It never fails.
func String() Serde[string] { return stringSerde{} }

type stringSerde struct{}

func (stringSerde) Append(dst []byte, v string) ([]byte, error) { return append(dst, v...), nil }

func (stringSerde) Decode(b []byte) (string, error) { return string(b), nil }
