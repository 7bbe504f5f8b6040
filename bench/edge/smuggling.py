"""Requests that two readers of HTTP may cut in two different places, or read two hosts from.

Each is one head with its body, as bytes; whoever sends it puts `hidden` behind it and looks whether
that is answered.  PATH and LINES are filled in by `case`.
"""

POST = b"POST PATH HTTP/1.1\r\n"
HOST = b"Host: door.test\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
START = POST + HOST + b"LINES"
BODY = START + CHUNKED + b"\r\n"
LAST = b"0\r\n\r\n"

DESIGN = {
    "CL with TE": START + b"Content-Length: 6\r\n" + CHUNKED + b"\r\n" + LAST,
    "two differing CL": START + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "CL with a sign": START + b"Content-Length: +1\r\n\r\na",
    "space before colon": START + b"Content-Length : 1\r\n\r\na",
    "unknown TE": START + b"Transfer-Encoding: xchunked\r\n\r\n" + LAST,
    "TE chunked, identity": START + b"Transfer-Encoding: chunked, identity\r\n\r\n" + LAST,
    "bare LF lines": b"POST PATH HTTP/1.1\nHost: door.test\n\n",
    "obs-fold": START + b"X: a\r\n b\r\n\r\n",
    "duplicate Host": START + b"Host: other.test\r\n\r\n",
    "no Host": POST + b"LINES\r\n",
    "Host holding a path": POST + b"Host: door.test/admin\r\nLINES\r\n",
    "chunk extension with a bare LF": BODY + b"1;a\nb\r\na\r\n" + LAST,
    "70 kB header": START + b"X: " + b"a" * 70_000 + b"\r\n\r\n",
    "NUL in a value": START + b"X: a\0b\r\n\r\n",
}
"""The fourteen that the design names (04, section 8)."""

LENGTHS = {
    "TE with CL": START + CHUNKED + b"Content-Length: 6\r\n\r\n" + LAST,
    "CL as a list": START + b"Content-Length: 1, 1\r\n\r\na",
    "the same CL twice": START + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na",
    "CL in hex": START + b"Content-Length: 0x1\r\n\r\na",
    "negative CL": START + b"Content-Length: -1\r\n\r\n",
    "empty CL": START + b"Content-Length:\r\n\r\n",
    "CL with a semicolon": START + b"Content-Length: 1;\r\n\r\na",
    "CL with an exponent": START + b"Content-Length: 1e1\r\n\r\na",
    "CL with a space inside": START + b"Content-Length: 1 1\r\n\r\na",
    "CL as Python writes it": START + b"Content-Length: 1_0\r\n\r\na",
    "CL in a digit of Unicode": START + b"Content-Length: \xb9\r\n\r\na",
    "CL after a vertical tab": START + b"Content-Length: \x0b1\r\n\r\na",
    "CL one above 64 bits": START + b"Content-Length: 18446744073709551617\r\n\r\na",
    "the largest CL": START + b"Content-Length: 18446744073709551615\r\n\r\na",
    "folded CL": START + b"Content-Length:\r\n 1\r\n\r\na",
}

CODINGS = {
    "TE twice": START + CHUNKED + CHUNKED + b"\r\n" + LAST,
    "TE gzip, chunked": START + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + LAST,
    "TE chunked, chunked": START + b"Transfer-Encoding: chunked, chunked\r\n\r\n" + LAST,
    "TE identity": START + b"Transfer-Encoding: identity\r\n\r\n",
    "TE identity with CL": START + b"Transfer-Encoding: identity\r\nContent-Length: 1\r\n\r\na",
    "empty TE": START + b"Transfer-Encoding:\r\n\r\n" + LAST,
    "empty TE with CL": START + b"Transfer-Encoding:\r\nContent-Length: 1\r\n\r\na",
    "quoted TE": START + b'Transfer-Encoding: "chunked"\r\n\r\n' + LAST,
    "TE with a parameter": START + b"Transfer-Encoding: chunked;q=1\r\n\r\n" + LAST,
    "TE with a comma behind": START + b"Transfer-Encoding: chunked,\r\n\r\n" + LAST,
    "TE with a comma before": START + b"Transfer-Encoding: , chunked\r\n\r\n" + LAST,
    "TE after a vertical tab": START + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + LAST,
    "TE before a vertical tab": START + b"Transfer-Encoding: chunked\x0b\r\n\r\n" + LAST,
    "tab before TE's colon": START + b"Transfer-Encoding\t: chunked\r\n\r\n" + LAST,
    "NUL in TE's name": START + b"Transfer-Encoding\0: chunked\r\n\r\n" + LAST,
    "folded TE": START + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + LAST,
    "TE behind a bare LF": START + b"X: a\nTransfer-Encoding: chunked\r\n\r\n" + LAST,
    "TE behind a bare CR": START + b"X: a\rTransfer-Encoding: chunked\r\n\r\n" + LAST,
    "TE of two headers": START + b"Transfer-Encoding: x\r\n" + CHUNKED + b"\r\n" + LAST,
    "TE in HTTP/1.0": START.replace(b"1.1", b"1.0") + CHUNKED + b"\r\n" + LAST,
}

CHUNKS = {
    "chunk size with a sign": BODY + b"+1\r\na\r\n" + LAST,
    "negative chunk": BODY + b"-1\r\na\r\n" + LAST,
    "chunk size with 0x": BODY + b"0x1\r\na\r\n" + LAST,
    "chunk size with a space behind": BODY + b"1 \r\na\r\n" + LAST,
    "chunk size with a space before": BODY + b" 1\r\na\r\n" + LAST,
    "chunk size of no digits": BODY + b"\r\na\r\n" + LAST,
    "chunk size of other letters": BODY + b"g\r\na\r\n" + LAST,
    "chunk size above 64 bits": BODY + b"10000000000000001\r\na\r\n" + LAST,
    "chunk size before a bare LF": BODY + b"1\na\r\n" + LAST,
    "chunk size before a bare CR": BODY + b"1\ra\r\n" + LAST,
    "chunk ended by a bare LF": BODY + b"1\r\na\n" + LAST,
    "chunk ended by nothing": BODY + b"1\r\na" + LAST,
    "chunk ended by two letters": BODY + b"1\r\naXX" + LAST,
    "chunk longer than said": BODY + b"1\r\nabc\r\n" + LAST,
    "chunk extension with a bare CR": BODY + b"1;a\rb\r\na\r\n" + LAST,
    "chunk extension with a NUL": BODY + b"1;a\0b\r\na\r\n" + LAST,
    "chunk extension with quoted CRLF": BODY + b'1;a="\r\n"\r\na\r\n' + LAST,
    "chunk extension ended by a bare LF": BODY + b"1;a\na\r\n" + LAST,
    "last chunk with bare LFs": BODY + b"0\n\n",
    "last chunk with one bare LF": BODY + b"0\r\n\n",
    "trailer with a space before its colon": BODY + b"0\r\nX : y\r\n\r\n",
    "trailer with a bare LF": BODY + b"0\r\nX: y\n\r\n",
    "folded trailer": BODY + b"0\r\nX: y\r\n z\r\n\r\n",
    "trailer with a NUL": BODY + b"0\r\nX: y\0\r\n\r\n",
    "CL as a trailer": BODY + b"0\r\nContent-Length: 50\r\n\r\n",
    "TE as a trailer": BODY + b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
}

LINES = {
    "no version": b"POST PATH\r\n" + HOST + b"\r\n",
    "HTTP/0.9": b"POST PATH HTTP/0.9\r\n" + HOST + b"\r\n",
    "HTTP/1.2": b"POST PATH HTTP/1.2\r\n" + HOST + b"\r\n",
    "HTTP/1.10": b"POST PATH HTTP/1.10\r\n" + HOST + b"\r\n",
    "HTTP/2.0": b"POST PATH HTTP/2.0\r\n" + HOST + b"\r\n",
    "HTTP/3.0": b"POST PATH HTTP/3.0\r\n" + HOST + b"\r\n",
    "HTTP in small letters": b"POST PATH http/1.1\r\n" + HOST + b"\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a method in small letters": b"post PATH HTTP/1.1\r\n" + HOST + b"\r\n",
    "a method nobody knows": b"FOO PATH HTTP/1.1\r\n" + HOST + b"\r\n",
    "a control in the method": b"PO\x01ST PATH HTTP/1.1\r\n" + HOST + b"\r\n",
    "tabs for spaces": b"POST\tPATH\tHTTP/1.1\r\n" + HOST + b"\r\n",
    "a space behind the version": b"POST PATH HTTP/1.1 \r\n" + HOST + b"\r\n",
    "something behind the version": b"POST PATH HTTP/1.1 x\r\n" + HOST + b"\r\n",
    "a space in the target": b"POST PATH x HTTP/1.1\r\n" + HOST + b"\r\n",
    "a NUL in the target": b"POST PATH\0 HTTP/1.1\r\n" + HOST + b"\r\n",
    "a CR in the target": b"POST PATH\r HTTP/1.1\r\n" + HOST + b"\r\n",
    "a tab in the target": b"POST PATH\tx HTTP/1.1\r\n" + HOST + b"\r\n",
    "a control in the target": b"POST PATH\x01 HTTP/1.1\r\n" + HOST + b"\r\n",
    "bytes beyond ASCII in the target": b"POST PATH\xff HTTP/1.1\r\n" + HOST + b"\r\n",
    "a fragment in the target": b"POST PATH#x HTTP/1.1\r\n" + HOST + b"\r\n",
    "a target without a slash": b"POST models HTTP/1.1\r\n" + HOST + b"\r\n",
    "a backslash for a slash": b"POST \\models HTTP/1.1\r\n" + HOST + b"\r\n",
    "70 kB target": b"POST PATH" + b"a" * 70_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "another host in the target": b"POST http://other.testPATH HTTP/1.1\r\n" + HOST + b"\r\n",
    "a user in the target": b"POST http://u@door.testPATH HTTP/1.1\r\n" + HOST + b"\r\n",
    "no host in the target": b"POST http://PATH HTTP/1.1\r\n" + HOST + b"\r\n",
    "another scheme": b"POST ftp://door.testPATH HTTP/1.1\r\n" + HOST + b"\r\n",
    "CONNECT": b"CONNECT door.test:443 HTTP/1.1\r\n" + HOST + b"\r\n",
    "not HTTP at all": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}

FIELDS = {
    "CR in a value": START + b"X: a\rb\r\n\r\n",
    "bare LF in a header": START + b"X: a\nY: b\r\n\r\n",
    "a control in a value": START + b"X: a\x01b\r\n\r\n",
    "a vertical tab in a value": START + b"X: a\x0bb\r\n\r\n",
    "a DEL in a value": START + b"X: a\x7fb\r\n\r\n",
    "a value ended by two CRs": START + b"X: a\r\r\n\r\n",
    "a head ended by LF and CRLF": START + b"X: a\n\r\n",
    "a head ended by CRLF and LF": START + b"X: a\r\n\n",
    "a line folded with a tab": START + b"X: a\r\n\tb\r\n\r\n",
    "a space before the first name": POST + b" X: y\r\n" + HOST + b"\r\n",
    "no colon": START + b"Xyz\r\n\r\n",
    "no name": START + b": x\r\n\r\n",
    "a space in a name": START + b"X Y: z\r\n\r\n",
    "a bracket in a name": START + b"X(Y: z\r\n\r\n",
    "bytes beyond ASCII in a name": START + b"X\xffY: z\r\n\r\n",
    "200 headers": START + b"".join(b"X%d: y\r\n" % n for n in range(200)) + b"\r\n",
    "an expectation nobody knows": START + b"Expect: 200-maybe\r\nContent-Length: 1\r\n\r\na",
}

HOSTS = {
    name: POST + b"Host: " + host + b"\r\nLINES\r\n"
    for name, host in {
        "empty Host": b"",
        "Host of a port only": b":80",
        "Host with a user": b"a@door.test",
        "Host with a comma": b"door.test,other.test",
        "Host with a space": b"door.test other.test",
        "Host with a tab": b"door\t.test",
        "Host with a backslash": b"door.test\\other.test",
        "Host with a question mark": b"door.test?x",
        "Host with a fragment": b"door.test#x",
        "Host with a semicolon": b"door.test;x",
        "Host in quotes": b'"door.test"',
        "Host in angle brackets": b"<door.test>",
        "Host with percent signs": b"door%2etest",
        "Host beyond ASCII": b"d\xffor.test",
        "Host with a port in letters": b"door.test:http",
        "Host with two ports": b"door.test:1:2",
        "Host with too large a port": b"door.test:99999",
        "Host with an open bracket": b"[::1",
        "Host with text in brackets": b"[door.test]",
        "Host of dots": b"..",
    }.items()
} | {
    "the same Host twice": START + HOST + b"\r\n",
    "folded Host": POST + b"Host: door.test\r\n other.test\r\n\r\n",
}

CORPUS = DESIGN | LENGTHS | CODINGS | CHUNKS | LINES | FIELDS | HOSTS


def case(name: str, path: str, *lines: str) -> bytes:
    """The bytes of a case.  lines: header lines that do it no harm, such as a key."""
    extra = "".join(f"{line}\r\n" for line in lines).encode()
    return CORPUS[name].replace(b"PATH", path.encode()).replace(b"LINES", extra)


def hidden(path: str, *lines: str) -> bytes:
    """What must never be answered: a request of its own behind a case."""
    extra = "".join(f"{line}\r\n" for line in lines).encode()
    return b"GET %b HTTP/1.1\r\n" % path.encode() + HOST + extra + b"\r\n"
