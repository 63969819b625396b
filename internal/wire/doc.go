// Package wire holds the small encodings that members of an application leave for one another, in offset metadata and group membership:
// compact, versioned, and safe to decode whatever the bytes.
package wire
