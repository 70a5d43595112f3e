/* The shop's prices. A price depends on the weight, which the warehouse knows.
 * Usage: pricing DIRECTORY */
#include "web.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double base_price(const char *sku)
{
    return strcmp(sku, "lamp") == 0 ? 24.50 : 129.00;
}

static void tell_price(struct web_request *request)
{
    char sku[32], order[16], path[128], url[512], text[32];
    struct web_answer weight;
    web_parameter(request->query, "sku", sku, sizeof(sku));
    web_parameter(request->query, "order", order, sizeof(order));
    web_work(2);
    snprintf(path, sizeof(path), "/weight?sku=%s&order=%s", sku, order);
    if (web_url("warehouse", path, url, sizeof(url)) < 0 ||
        web_call("GET", url, request->relay, &weight) < 0) {
        web_reply(request, 502, "the warehouse does not answer\n");
        return;
    }
    snprintf(text, sizeof(text), "%.2f\n", base_price(sku) + 0.8 * atof(weight.text));
    web_reply(request, 200, text);
}

static void handle(struct web_request *request)
{
    if (strcmp(request->path, "/price") == 0) {
        tell_price(request);
    } else if (strcmp(request->path, "/credit") == 0) {
        web_work(3);
        web_reply(request, 200, "good\n");
    } else {
        web_reply(request, 404, "no such page\n");
    }
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: pricing DIRECTORY\n");
        return 2;
    }
    web_use_directory(argv[1]);
    return web_serve(handle) < 0;
}
