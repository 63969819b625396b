package state

import (
	"fmt"

	"github.com/weirstream/weir/serde"
)

// A putLog keeps what is to go into a store's changelog at the next commit, one record per put: where the order of the puts tells what a restore must
// know, and rows alone do not. It is undone with a failed record.
type putLog[V any] struct {
	name    string
	value   serde.Serde[V]
	off     bool // nothing is logged
	journal *Journal

	puts    []loggedPut
	bytes   []byte
	touched bool
	before  int // of puts: those of earlier records
}

// A loggedPut is a key and a value in putLog.bytes, by where they end, and the time.
type loggedPut struct {
	key, value int
	ms         int64
	gone       bool
}

// add notes a put, or a delete if gone. It fails where the value cannot be encoded, and then notes nothing.
func (l *putLog[V]) add(key []byte, v V, ms int64, gone bool) (err error) {
	start := len(l.bytes)
	l.bytes = append(l.bytes, key...)
	p := loggedPut{key: len(l.bytes), ms: ms, gone: gone}
	if !gone {
		b, err := l.value.Append(l.bytes, v)
		if err != nil {
			l.bytes = l.bytes[:start]
			return fmt.Errorf("encode row of store %q: %w", l.name, err)
		}
		l.bytes = b
	}
	if l.off {
		l.bytes = l.bytes[:start]
		return nil
	}
	if !l.touched {
		l.touched, l.before = true, len(l.puts)
		l.journal.touch(l)
	}
	p.value = len(l.bytes)
	l.puts = append(l.puts, p)
	return nil
}

func (l *putLog[V]) undo() {
	l.puts, l.bytes = l.puts[:l.before], l.bytes[:l.end(l.before)]
	l.release()
}

func (l *putLog[V]) release() { l.touched = false }

// end is where the first n puts end.
func (l *putLog[V]) end(n int) int {
	if n == 0 {
		return 0
	}
	return l.puts[n-1].value
}

// write gives the puts to the changelog.
func (l *putLog[V]) write(w *Writer) error {
	if w.Changelog == nil {
		return nil
	}
	for i, p := range l.puts {
		var value []byte
		if !p.gone {
			value = append(w.row[:0], l.bytes[p.key:p.value]...)
			if value == nil {
				value = []byte{} // empty, and no delete
			}
			w.row = value
		}
		if err := w.Changelog(l.bytes[l.end(i):p.key], value, p.ms); err != nil {
			return err
		}
	}
	return nil
}

// reset forgets the puts.
func (l *putLog[V]) reset() {
	l.puts, l.bytes, l.touched = l.puts[:0], l.bytes[:0], false
}
