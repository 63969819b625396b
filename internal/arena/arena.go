// Package arena allocates short byte slices from long ones: encoded keys and values that live until a broker has them.
package arena

const chunkBytes = 64 << 10

// An Arena hands out byte slices that share chunks of memory. A chunk is freed by the garbage collector when nothing
// points into it any more; nothing is ever reused. The zero value is ready. It is for one goroutine.
//
//	b := append(a.Tail(), "hello"...)
//	b = a.Take(b)
type Arena struct {
	chunk []byte
}

// Tail returns an empty slice to append to. Only one tail may be in use at a time, up to its Take.
func (a *Arena) Tail() []byte {
	if cap(a.chunk)-len(a.chunk) < 512 {
		a.chunk = make([]byte, 0, chunkBytes)
	}
	return a.chunk[len(a.chunk):]
}

// Take keeps b, which was appended to the last Tail, and returns it with no room to grow into what comes next.
func (a *Arena) Take(b []byte) []byte {
	n := len(a.chunk)
	if len(b) > 0 && n+len(b) <= cap(a.chunk) && &b[0] == &a.chunk[: n+1 : n+1][n] {
		a.chunk = a.chunk[:n+len(b)]
	}
	return b[:len(b):len(b)]
}

// Copy returns a copy of b.
func (a *Arena) Copy(b []byte) []byte {
	if len(b) > chunkBytes/4 {
		return append(make([]byte, 0, len(b)), b...)
	}
	return a.Take(append(a.Tail(), b...))
}
