# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE="php, php -S" PACKAGES="php-cli nginx-light curl"
DOES="file_get_contents, fsockopen and stream_select as client; the built-in web server"

client() {
	www_up 3
	sum "file_get_contents" under php -r \
		'echo file_get_contents("http://$argv[1]/big");' "$V4"
	show "fsockopen" under php -r '
$s = fsockopen("tcp://[$argv[1]]", 80, $no, $str, 5);
fwrite($s, "HEAD /big HTTP/1.0\r\n\r\n");
while (($l = fgets($s)) !== false)
	if (preg_match("/^HTTP|Length/", $l)) echo $l;
var_dump(feof($s), stream_socket_get_name($s, true));' "$V6"
	show "stream_select" under php -r '
$v = [];
foreach ([1, 2, 3] as $i) {
	$s = stream_socket_client("tcp://$argv[1]:80");
	stream_set_blocking($s, false);
	fwrite($s, "GET /f$i HTTP/1.0\r\n\r\n");
	$v[$i] = $s; $got[$i] = "";
}
while ($v) {
	$r = $v; $w = $x = null;
	stream_select($r, $w, $x, 5);
	foreach ($r as $i => $s) {
		$b = fread($s, 8192);
		$got[$i] .= $b;
		if ($b === "" && feof($s)) unset($v[$i]);
	}
}
foreach ($got as $i => $g)
	echo $i, " ", substr(hash("sha256", explode("\r\n\r\n", $g, 2)[1]), 0, 16), "\n";
' "$V4"
	show "refused" under php -r \
		'var_dump(@fsockopen($argv[1], 9, $no, $str), $no, $str);' "$V4"
}

server() {
	echo '<?php echo $_SERVER["REQUEST_METHOD"], " ", $_GET["q"] ?? "", " ",
		strlen(file_get_contents("php://input")), "\n";' >"$W/www/x.php"
	under_bg php -S 0.0.0.0:8000 -t "$W/www" >"$W/log" 2>&1
	ready 8000
	sum "file" peer curl -sS --fail "http://$MY4:8000/big"
	show "script" peer curl -sS --fail "http://$MY4:8000/x.php?q=asked"
	show "post" peer curl -sS --fail --data-binary @"$W/www/f3" \
		"http://$MY4:8000/x.php"
}
