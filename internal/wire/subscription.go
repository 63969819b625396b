package wire

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A Subscription is what a member tells the group's leader about itself, beside the partitions it owns.
type Subscription struct {
	// ProcessID is the instance's persisted id.
	ProcessID string
	// Workers is the number of workers that share its tasks.
	Workers uint32
	// Manifest is the encoded manifest of its topology.
	Manifest []byte
}

const (
	subscriptionVersion = 2
	// plainManifest is the size up to which a manifest is not worth compressing; manifestLimit is the largest that is read.
	plainManifest = 256
	manifestLimit = 16 << 20
)

// The forms of a manifest.
const (
	manifestPlain    = 0
	manifestDeflated = 1
)

// Append appends the encoding to dst: a version byte, the number of workers, the process id behind its length, the form of the manifest, and the manifest
// in that form behind its length. Numbers are varints.
func (s Subscription) Append(dst []byte) []byte {
	dst = append(dst, subscriptionVersion)
	dst = binary.AppendUvarint(dst, uint64(s.Workers))
	dst = appendText(dst, s.ProcessID)
	if len(s.Manifest) <= plainManifest {
		return appendText(append(dst, manifestPlain), string(s.Manifest))
	}
	var packed bytes.Buffer
	w, _ := flate.NewWriter(&packed, flate.BestCompression) // fails for levels that there are not, and a buffer takes everything
	_, _ = w.Write(s.Manifest)
	_ = w.Close()
	return appendText(append(dst, manifestDeflated), packed.String())
}

// DecodeSubscription reads what Append wrote.
func DecodeSubscription(b []byte) (s Subscription, err error) {
	if len(b) == 0 || b[0] != subscriptionVersion {
		return s, errors.New("decode subscription: unknown version: it is another release's, or another program's")
	}
	n, size := binary.Uvarint(b[1:])
	if size <= 0 || n > 1<<20 {
		return s, fmt.Errorf("decode subscription: %w", errShort)
	}
	s.Workers = uint32(n)
	b = b[1+size:]
	if s.ProcessID, b, err = takeText(b); err == nil {
		s.Manifest, b, err = takeManifest(b)
	}
	if err == nil && len(b) > 0 {
		err = fmt.Errorf("%d bytes too many", len(b))
	}
	if err != nil {
		return Subscription{}, fmt.Errorf("decode subscription: %w", err)
	}
	return s, nil
}

func takeManifest(b []byte) (manifest, rest []byte, err error) {
	if len(b) == 0 {
		return nil, nil, errShort
	}
	form := b[0]
	text, rest, err := takeText(b[1:])
	switch {
	case err != nil:
		return nil, nil, err
	case form == manifestPlain:
		return []byte(text), rest, nil
	case form != manifestDeflated:
		return nil, nil, fmt.Errorf("the manifest has the unknown form %d", form)
	}
	manifest, err = io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader([]byte(text))), manifestLimit+1))
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("unpack the manifest: %w", err)
	case len(manifest) > manifestLimit:
		return nil, nil, fmt.Errorf("unpack the manifest: it is larger than %d bytes", manifestLimit)
	}
	return manifest, rest, nil
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func takeText(b []byte) (s string, rest []byte, err error) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size) {
		return "", nil, errShort
	}
	return string(b[size : size+int(n)]), b[size+int(n):], nil
}
