package testbroker

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A Gate lies between an application and the cluster. A test shuts it, so that no broker answers, or loses single requests or their
// answers. It works on the application's side of the connections, on a real cluster as on the embedded one.
type Gate struct {
	mu    sync.Mutex
	shut  bool
	conns map[*gatedConn]struct{}
	lose  map[int16]*loss
}

type loss struct {
	left   int // -1: all
	answer bool
	hits   int
}

var (
	errShut = errors.New("the gate is shut")
	errLost = errors.New("the connection is lost")
)

// NewGate returns an open gate.
func NewGate() *Gate { return &Gate{conns: map[*gatedConn]struct{}{}, lose: map[int16]*loss{}} }

// Option is what leads an application's clients through the gate.
func (g *Gate) Option() kgo.Opt { return kgo.Dialer(g.dial) }

// Shut cuts all connections and lets none be made.
func (g *Gate) Shut() {
	g.mu.Lock()
	g.shut = true
	conns := g.conns
	g.conns = map[*gatedConn]struct{}{}
	g.mu.Unlock()
	for c := range conns {
		_ = c.Conn.Close()
	}
}

// Open lets connections be made again.
func (g *Gate) Open() {
	g.mu.Lock()
	g.shut = false
	g.mu.Unlock()
}

// LoseRequests cuts the connection instead of sending the next n requests of an API key; -1 stands for all, 0 ends it.
func (g *Gate) LoseRequests(key int16, n int) { g.arm(key, n, false) }

// LoseAnswers cuts the connection when the answer to one of the next n requests of an API key comes: the broker has done what it was asked.
func (g *Gate) LoseAnswers(key int16, n int) { g.arm(key, n, true) }

// Lost is how often a request of the key, or its answer, was lost.
func (g *Gate) Lost(key int16) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	if l := g.lose[key]; l != nil {
		return l.hits
	}
	return 0
}

// Connections is the number of connections that are open.
func (g *Gate) Connections() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.conns)
}

func (g *Gate) arm(key int16, n int, answer bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.lose[key]
	if l == nil {
		l = &loss{}
		g.lose[key] = l
	}
	l.left, l.answer = n, answer
}

func (g *Gate) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	g.mu.Lock()
	shut := g.shut
	g.mu.Unlock()
	if shut {
		return nil, &net.OpError{Op: "dial", Net: network, Err: errShut}
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	c := &gatedConn{Conn: conn, gate: g}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut {
		_ = conn.Close()
		return nil, &net.OpError{Op: "dial", Net: network, Err: errShut}
	}
	g.conns[c] = struct{}{}
	return c, nil
}

// hit tells whether a request of the key is to be lost, or its answer.
func (g *Gate) hit(key int16) (request, answer bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.lose[key]
	if l == nil || l.left == 0 {
		return false, false
	}
	if l.left > 0 {
		l.left--
	}
	l.hits++
	return !l.answer, l.answer
}

// gatedConn is a client's connection. The client writes a request, which begins with its size and its key, at once.
type gatedConn struct {
	net.Conn
	gate *Gate
	mu   sync.Mutex
	cut  bool
}

// Write implements net.Conn.
func (c *gatedConn) Write(b []byte) (int, error) {
	if len(b) >= 6 {
		request, answer := c.gate.hit(int16(binary.BigEndian.Uint16(b[4:])))
		if request {
			_ = c.Close()
			return 0, &net.OpError{Op: "write", Net: "tcp", Err: errLost}
		}
		if answer {
			c.mu.Lock()
			c.cut = true
			c.mu.Unlock()
		}
	}
	return c.Conn.Write(b)
}

// Read implements net.Conn.
func (c *gatedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.mu.Lock()
	cut := c.cut
	c.mu.Unlock()
	if cut {
		_ = c.Close()
		return 0, &net.OpError{Op: "read", Net: "tcp", Err: errLost}
	}
	return n, err
}

// Close implements net.Conn.
func (c *gatedConn) Close() error {
	c.gate.mu.Lock()
	delete(c.gate.conns, c)
	c.gate.mu.Unlock()
	return c.Conn.Close()
}
