/* The shop's warehouse: takes orders, knows weights, and speaks for its three depots. Whether the
 * customer is good for an order it asks the pricing service.
 * Usage: warehouse DIRECTORY */
#include "web.h"

#include <stdio.h>
#include <string.h>

/* Answers line by line, as the items are found on the shelves. */
static void take_order(struct web_request *request)
{
    char order[16], path[64], url[512];
    struct web_answer credit;
    web_parameter(request->query, "order", order, sizeof(order));
    snprintf(path, sizeof(path), "/credit?order=%s", order);
    if (web_url("pricing", path, url, sizeof(url)) < 0 ||
        web_call("GET", url, request->relay, &credit) < 0) {
        web_reply(request, 502, "pricing does not answer\n");
        return;
    }
    web_reply_begin(request, 200);
    web_reply_text(request, "item lamp\n");
    web_work(3);
    web_reply_text(request, "item desk\n");
    web_work(3);
    web_reply_text(request, "missing chair\n");
    web_work(4);
}

static void tell_weight(struct web_request *request)
{
    char sku[32];
    web_parameter(request->query, "sku", sku, sizeof(sku));
    web_work(1);
    web_reply(request, 200, strcmp(sku, "lamp") == 0 ? "1.5\n" : "32\n");
}

/* Only the depot in the north has chairs; the one in the south is closed for stocktaking. */
static void ask_depot(struct web_request *request)
{
    if (strcmp(request->path, "/depot/north/reserve") == 0) {
        web_work(2);
        web_reply(request, 200, "reserved\n");
    } else if (strcmp(request->path, "/depot/north/stock") == 0) {
        web_work(4);
        web_reply(request, 200, "4\n");
    } else if (strcmp(request->path, "/depot/east/stock") == 0) {
        web_work(6);
        web_reply(request, 200, "0\n");
    } else {
        web_reply(request, 503, "closed for stocktaking\n");
    }
}

static void handle(struct web_request *request)
{
    if (strcmp(request->path, "/orders") == 0)
        take_order(request);
    else if (strcmp(request->path, "/weight") == 0)
        tell_weight(request);
    else if (strncmp(request->path, "/depot/", 7) == 0)
        ask_depot(request);
    else
        web_reply(request, 404, "no such page\n");
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: warehouse DIRECTORY\n");
        return 2;
    }
    web_use_directory(argv[1]);
    return web_serve(handle) < 0;
}
