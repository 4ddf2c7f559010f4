"""waitress' parser of requests, made strict where it is lax or where reading could take without end.

Refused are: what waitress' patterns need quadratic time for (a malformed first line, control characters: 16 KB blocked
a worker for 16 s), a TAB in the path, HTTP/1.1 without Host or with several, Transfer-Encoding other than one `chunked`
alone, and lines of a chunk's size and trailers that do not end.
"""

import copy
import re
import time
from typing import Any

from waitress.adjustments import Adjustments
from waitress.parser import HTTPRequestParser, ParsingError, get_header_lines
from waitress.receiver import ChunkedReceiver
from waitress.utilities import BadRequest

from core.contract.request_body import LARGEST_BODY

REQUEST_DEADLINE = 20  # seconds from the first byte of a request to its last
UPLOAD_DEADLINE = 120  # the same, for the few routes that take a file
LONGEST_TRAILERS = 8 * 1024  # bytes
FIRST_LINE = re.compile(rb"[^ \t]+ [^ \t]+(?: HTTP/[0-9]\.[0-9])?")
UNREADABLE = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
ECHOED = re.compile(rb"\n(origin|x-request-id):[ \t]*([^\r\n]*)", re.I)  # the headers of a refusal depend on these
CHUNK = re.compile(rb"([0-9a-fA-F]{1,16})(?:;[^\r\n]*)?\r\n")
LONGEST_CHUNK_LINE = 256  # bytes


class Parser(HTTPRequestParser):
    """One request while it comes in."""

    adj: Any  # with `uploads`, see core/serving/server.py
    body_rcv: Any
    deadline = REQUEST_DEADLINE
    is_upload = False  # it has a large body, which is not read before the application asks for it
    is_started = False  # an upload has been given to the application, without its body

    def __init__(self, adj: Adjustments) -> None:
        super().__init__(adj)
        self.begun = time.monotonic()

    def received(self, data: bytes) -> int:
        """Take what has come in; return how many bytes of it belong to this request."""
        before = self.header_plus
        consumed = super().received(data)
        if self.completed:  # by an error too, which waitress would forget and ask for the body
            self.expect_continue = False
        if self.error:  # a page of another origin must be able to read why
            for name, value in ECHOED.findall(before + data):
                self.headers.setdefault(name.decode().upper().replace("-", "_"), value.strip().decode("latin-1"))
        return consumed

    def parse_header(self, header_plus: bytes) -> None:
        """Read the first line and the headers; raise ParsingError."""
        first_line, _, rest = header_plus.partition(b"\r\n")
        if not FIRST_LINE.fullmatch(first_line.rstrip()) or UNREADABLE.search(header_plus):
            raise ParsingError("The first line or a header cannot be read.")
        if b"transfer-encoding" in rest.lower():  # waitress removes the header
            lines = [line.lower().partition(b":") for line in get_header_lines(rest)]
            codings = [value.strip(b" \t") for name, _, value in lines if name == b"transfer-encoding"]
            if codings not in ([], [b"chunked"]):
                raise ParsingError("Transfer-Encoding is chunked, or not there.")
        try:
            super().parse_header(header_plus)
        except ValueError as error:  # an address such as http://[::1/, a length of 5,000 digits
            raise ParsingError(str(error)) from None
        connection = {word.strip().lower() for word in self.headers.get("CONNECTION", "").split(",")}
        if "close" in connection:
            self.headers["CONNECTION"] = "close"  # waitress sees it only where it is the only word
        host = self.headers.get("HOST")
        if "," in (host or "") or (host is None and self.version == "1.1"):  # several, or none (RFC 9112, 3.2)
            raise ParsingError("One Host header is wanted.")
        if "TRANSFER_ENCODING" in self.headers:  # waitress reads it in HTTP/1.1 only (RFC 9112, 6.1)
            raise ParsingError("Transfer-Encoding is for HTTP/1.1.")
        if self.chunked:
            if "CONTENT_LENGTH" in self.headers:  # this is how requests are smuggled past a proxy
                raise ParsingError("Content-Length and Transfer-Encoding exclude each other.")
            self.body_rcv = Chunks(self.body_rcv.getbuf())
        largest = self.adj.uploads.get((self.command, self.path.rstrip("/")))
        if largest and (self.chunked or self.content_length > LARGEST_BODY):
            self.is_upload = True
            self.deadline = UPLOAD_DEADLINE
            self.adj = copy.copy(self.adj)
            self.adj.max_request_body_size = largest + LARGEST_BODY  # the envelope refuses what is over `largest`


class Chunks(ChunkedReceiver):
    """A body in chunks (RFC 9112, 7.1). Each byte is looked at once; trailers are read and thrown away."""

    chunk_remainder: int
    completed: bool
    all_chunks_received: bool
    error: Any
    _line = b""  # the part of a line that has come in
    _trailers = 0  # bytes of them

    def received(self, data: bytes) -> int:
        """Take what has come in; return how many bytes of it belong to this body."""
        at = 0
        while at < len(data) and not (self.completed or self.error):
            if self.chunk_remainder:
                piece = data[at : at + self.chunk_remainder]
                self.buf.append(piece)
                self.chunk_remainder -= len(piece)
                self.validate_chunk_end = not self.chunk_remainder
                at += len(piece)
                continue
            end = data.find(b"\n", at) + 1 or len(data)
            self._line += data[at:end]
            at = end
            if len(self._line) > (LONGEST_TRAILERS if self.all_chunks_received else LONGEST_CHUNK_LINE):
                self.error = BadRequest("A line of the chunks is too long.")
            elif self._line.endswith(b"\n"):
                self._parse_line(self._line)
                self._line = b""
        return at

    def _parse_line(self, line: bytes) -> None:
        """Read a line: the end of a chunk, the size of the next one, or a trailer."""
        if self.validate_chunk_end:
            self.validate_chunk_end = False
            good = line == b"\r\n"
        elif self.all_chunks_received:
            self._trailers += len(line)
            self.completed = line == b"\r\n"
            good = line.endswith(b"\r\n") and self._trailers <= LONGEST_TRAILERS
        elif chunk := CHUNK.fullmatch(line):
            good = True
            self.chunk_remainder = int(chunk[1], 16)
            self.all_chunks_received = not self.chunk_remainder
        else:
            good = False
        if not good:
            self.error = BadRequest("The chunks cannot be read.")
