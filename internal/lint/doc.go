// Package lint holds the rules of the house as tests, so that `go test ./...` enforces them: which package may import
// which, how long a file may be, and what no file may do. house_test.go has the table of packages, rules_test.go the
// rest.
package lint
