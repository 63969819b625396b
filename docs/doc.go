// Package docs is the manual: the pages beside this file. Its test compiles their programs and follows their links.
package docs
