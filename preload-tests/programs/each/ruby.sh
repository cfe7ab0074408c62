# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE=ruby PACKAGES="ruby nginx-light"
DOES="Net::HTTP, TCPSocket, TCPServer with threads, UDPSocket, IO.select, IO.copy_stream"

client() {
	www_up 20
	sum "Net::HTTP" under ruby -rnet/http -e \
		'$stdout.write Net::HTTP.get(URI("http://#{ARGV[0]}/big"))' "$V4"
	show "TCPSocket" under ruby -rsocket -e '
s = TCPSocket.new(ARGV[0], 80)
puts s.peeraddr[1], s.remote_address.ip_address
s.puts "GET /index.html HTTP/1.0", ""
s.close_write
s.each_line { |l| puts l if l =~ /^HTTP|^</ }' "$V6"
	show "threads" under ruby -rnet/http -rdigest/sha2 -e '
t = (1..20).map { |i| Thread.new {
	Digest::SHA256.hexdigest(Net::HTTP.get(URI("http://#{ARGV[0]}/f#{i}")))[0, 16] } }
puts t.map(&:value)' "$V4"
	show "refused" under ruby -rsocket -e '
begin
	TCPSocket.new(ARGV[0], 9)
rescue => e
	puts e.class, e.message
end' "$V4"
}

server() {
	under_bg ruby -rsocket -e '
u = UDPSocket.new
u.bind("0.0.0.0", 8001)
Thread.new { loop { m, a = u.recvfrom(2000); u.send(m.upcase, 0, a[3], a[1]) } }
s = TCPServer.new("0.0.0.0", 8000)
loop { Thread.new(s.accept) { |c|
	n = c.gets.to_i
	IO.copy_stream(File.open(ARGV[0]), c, n)
	c.close } }' "$W/www/big"
	ready 8000
	sum "server" peer sh -c "echo 1000000 | nc $MY4 8000"
	sum "20 at once" peer sh -c "seq 20 | xargs -P 20 -I{} sh -c \
		'echo {}0000 | nc $MY4 8000 | sha256sum' | sort"
	show "udp" peer sh -c "printf datagram | nc -u -W 1 $MY4 8001"
}
