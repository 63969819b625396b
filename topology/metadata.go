package topology

import "context"

type metadataKey struct{}

// WithMetadata returns a context whose CurrentMetadata reads m each time it is asked. The engine makes one per task.
func WithMetadata(ctx context.Context, m *Metadata) context.Context {
	return context.WithValue(ctx, metadataKey{}, m)
}

// CurrentMetadata tells where the record in process came from. ctx is the context that a user function was given; ok is false for any
// other.
func CurrentMetadata(ctx context.Context) (m Metadata, ok bool) {
	p, ok := ctx.Value(metadataKey{}).(*Metadata)
	if !ok {
		return Metadata{Partition: -1, Offset: -1}, false
	}
	return *p, true
}
