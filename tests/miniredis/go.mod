// The Redis of Argo CD in tests: miniredis, a library that Argo CD's own tests use, behind a few lines that make it a
// process. The crate `testkit` builds it.
module cloud-desktops.dev/tests/miniredis

go 1.26.0

require github.com/alicebob/miniredis/v2 v2.39.0

require github.com/yuin/gopher-lua v1.1.1 // indirect
