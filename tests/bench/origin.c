/* The benchmark's origin: answers every request with the same 100 bytes, and with status 500 below
 * /fail. One thread, its own process, so that its CPU time is not counted.
 * Usage: origin [port] */
#include "serve.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADERS "\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\n"
#define TEN     "0123456789"
#define BODY    TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

static const char ok[] = "HTTP/1.1 200 OK" HEADERS BODY;
static const char failure[] = "HTTP/1.1 500 Internal Server Error" HEADERS BODY;

static size_t answer(const struct serve_request *request, char *out)
{
    if (request->path_size >= 5 && memcmp(request->path, "/fail", 5) == 0) {
        memcpy(out, failure, sizeof(failure) - 1);
        return sizeof(failure) - 1;
    }
    memcpy(out, ok, sizeof(ok) - 1);
    return sizeof(ok) - 1;
}

int main(int argc, char **argv)
{
    int error = serve_run(argc > 1 ? (uint16_t)atoi(argv[1]) : 0, answer);
    if (error)
        fprintf(stderr, "origin: %s\n", strerror(-error));
    return error ? 1 : 0;
}
