# The linker's version script out of calls.def: its rows, and nothing else.
1i {global:
s/^CALL\([^,]*, ([A-Za-z_0-9]+),.*/\1;/p
s/^CALL_LIBC\([^,]*, ([A-Za-z_0-9]+),.*/\1;/p
s/^CALL_VOID\(([A-Za-z_0-9]+),.*/\1;/p
$a local: *;};
