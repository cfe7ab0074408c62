# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE=perl PACKAGES="perl nginx-light"
DOES="IO::Socket both families, HTTP::Tiny, print and readline on sockets, IO::Select server, UDP"

client() {
	www_up 3
	show "IO::Socket" under perl -MIO::Socket::INET -e '
my $s = IO::Socket::INET->new("$ARGV[0]:80") or die $!;
print $s "GET /index.html HTTP/1.0\r\n\r\n";
while (<$s>) { print if /^HTTP|^</ }
print $s->sockhost, " ", $s->peerport, " ", $s->connected ? 1 : 0, "\n";
' "$V4"
	sum "HTTP::Tiny" under perl -MHTTP::Tiny -e '
print HTTP::Tiny->new->get("http://$ARGV[0]/big")->{content}' "$V4"
	show "IPv6, printf, shutdown" under perl -MIO::Socket::IP -e '
my $s = IO::Socket::IP->new(PeerHost => $ARGV[0], PeerPort => 80) or die $@;
$s->printf("%s %s HTTP/1.0\r\n\r\n", "HEAD", "/big");
$s->shutdown(1);
my @l = $s->getlines;
print grep { /^HTTP|Length/ } @l;' "$V6"
	show "refused" under perl -MIO::Socket::INET -e '
IO::Socket::INET->new("$ARGV[0]:9") or print $@, "\n"' "$V4"
}

server() {
	under_bg perl -MIO::Socket::INET -MIO::Select -e '
my $l = IO::Socket::INET->new(LocalPort => 8000, Listen => 20,
	ReuseAddr => 1) or die;
my $u = IO::Socket::INET->new(LocalPort => 8001, Proto => "udp") or die;
my $sel = IO::Select->new($l, $u);
while (my @r = $sel->can_read) {
	for my $s (@r) {
		if ($s == $l) { $sel->add(scalar $l->accept); next }
		if ($s == $u) {
			my $from = $u->recv(my $b, 2000);
			$u->send(uc $b, 0, $from);
			next
		}
		if (sysread $s, my $b, 65536) { syswrite $s, uc $b; next }
		$sel->remove($s);
		close $s
	}
}'
	ready 8000
	show "select server" peer sh -c "echo some words | nc -N $MY4 8000"
	show "20 at once" peer sh -c "seq 20 | xargs -P 20 -I{} sh -c \
		'echo word {} | nc -N $MY4 8000' | sort"
	show "udp" peer sh -c "printf datagram | nc -u -W 1 $MY4 8001"
}
