/* The shop's storefront: places orders with the warehouse, four workers at a time. While the
 * warehouse still answers, each item it has found is priced in a thread of its own, and for an item
 * it lacks all depots are asked at once. Prints one line per order. Usage: storefront DIRECTORY
 * ORDERS */
#include "web.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORKERS   4
#define LINES_MAX 8
#define DEPOTS    3

struct order;

struct line {
    struct order *order;
    pthread_t thread;
    char sku[32];
    double price;
    char depot[16];
};

struct order {
    int number;
    struct line lines[LINES_MAX];
    int line_count;
    char text[256]; /* what came of the line that is being received */
    size_t text_size;
    int failed;
};

static struct order *orders;
static int order_count;
static int next_order;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *price_item(void *argument)
{
    struct line *line = argument;
    char path[128], url[512];
    struct web_answer price;
    snprintf(path, sizeof(path), "/price?sku=%s&order=%d", line->sku, line->order->number);
    if (web_url("pricing", path, url, sizeof(url)) == 0 && web_call("GET", url, NULL, &price) == 0)
        line->price = atof(price.text);
    return NULL;
}

static void reserve(struct line *line, const char *depot)
{
    char path[128], url[512];
    struct web_answer answer;
    snprintf(path, sizeof(path), "/depot/%s/reserve?sku=%s&order=%d", depot, line->sku,
             line->order->number);
    if (web_url("warehouse", path, url, sizeof(url)) == 0 &&
        web_call("POST", url, NULL, &answer) == 0)
        snprintf(line->depot, sizeof(line->depot), "%s", depot);
}

static void await_depots(struct line *line, CURLM *multi, CURL *const *asked,
                         const struct web_answer *answers, const char *const *depots)
{
    int running = 1;
    while (running) {
        int left;
        CURLMsg *message;
        curl_multi_perform(multi, &running);
        while ((message = curl_multi_info_read(multi, &left))) {
            for (int i = 0; i < DEPOTS; i++)
                if (message->easy_handle == asked[i] && atoi(answers[i].text) > 0)
                    reserve(line, depots[i]);
        }
        if (running)
            curl_multi_poll(multi, NULL, 0, 1000, NULL);
    }
}

static void *find_depot(void *argument)
{
    static const char *const depots[DEPOTS] = {"north", "east", "south"};
    struct line *line = argument;
    struct web_answer answers[DEPOTS];
    CURL *asked[DEPOTS];
    CURLM *multi = curl_multi_init();
    for (int i = 0; i < DEPOTS; i++) {
        char path[128], url[512] = "";
        snprintf(path, sizeof(path), "/depot/%s/stock?sku=%s&order=%d", depots[i], line->sku,
                 line->order->number);
        web_url("warehouse", path, url, sizeof(url));
        asked[i] = web_prepare("GET", url, NULL, &answers[i]);
        curl_multi_add_handle(multi, asked[i]);
    }
    await_depots(line, multi, asked, answers, depots);
    for (int i = 0; i < DEPOTS; i++) {
        curl_multi_remove_handle(multi, asked[i]);
        curl_easy_cleanup(asked[i]);
    }
    curl_multi_cleanup(multi);
    return NULL;
}

/* One line of the warehouse's answer: "item SKU" or "missing SKU". */
static void begin_line(struct order *order)
{
    char kind[16];
    struct line *line = &order->lines[order->line_count];
    order->text[order->text_size] = '\0';
    order->text_size = 0;
    if (order->line_count == LINES_MAX || sscanf(order->text, "%15s %31s", kind, line->sku) != 2)
        return;
    line->order = order;
    void *(*work)(void *) = strcmp(kind, "item") == 0 ? price_item : find_depot;
    if (pthread_create(&line->thread, NULL, work, line) == 0)
        order->line_count++;
}

static size_t receive(char *data, size_t size, size_t count, void *user)
{
    struct order *order = user;
    for (size_t i = 0; i < size * count; i++) {
        if (data[i] == '\n')
            begin_line(order);
        else if (order->text_size < sizeof(order->text) - 1)
            order->text[order->text_size++] = data[i];
    }
    return size * count;
}

static void place_order(struct order *order)
{
    char path[64], url[512] = "";
    struct web_answer unused;
    long status = 0;
    snprintf(path, sizeof(path), "/orders?order=%d", order->number);
    web_url("warehouse", path, url, sizeof(url));
    CURL *easy = web_prepare("POST", url, NULL, &unused);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, receive);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, order);
    order->failed = curl_easy_perform(easy) != CURLE_OK;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    order->failed |= status != 200;
    curl_easy_cleanup(easy);
    for (int i = 0; i < order->line_count; i++)
        pthread_join(order->lines[i].thread, NULL);
}

static void *work(void *argument)
{
    for (;;) {
        pthread_mutex_lock(&lock);
        int mine = next_order < order_count ? next_order++ : -1;
        pthread_mutex_unlock(&lock);
        if (mine < 0)
            return argument;
        place_order(&orders[mine]);
    }
}

static int print_order(const struct order *order)
{
    double total = 0;
    if (order->failed || order->line_count == 0) {
        printf("order %d: failed\n", order->number);
        return 1;
    }
    printf("order %d:", order->number);
    for (int i = 0; i < order->line_count; i++) {
        const struct line *line = &order->lines[i];
        total += line->price;
        if (line->depot[0])
            printf(" %s from depot %s,", line->sku, line->depot);
        else
            printf(" %s %.2f,", line->sku, line->price);
    }
    printf(" total %.2f\n", total);
    return 0;
}

int main(int argc, char **argv)
{
    pthread_t workers[WORKERS];
    int failed = 0;
    if (argc != 3 || (order_count = atoi(argv[2])) < 1) {
        fprintf(stderr, "usage: storefront DIRECTORY ORDERS\n");
        return 2;
    }
    web_use_directory(argv[1]);
    curl_global_init(CURL_GLOBAL_ALL);
    orders = calloc((size_t)order_count, sizeof(*orders));
    if (!orders)
        return 1;
    for (int i = 0; i < order_count; i++)
        orders[i].number = i + 1;
    for (int i = 0; i < WORKERS; i++)
        if (pthread_create(&workers[i], NULL, work, NULL) != 0)
            return 1;
    for (int i = 0; i < WORKERS; i++)
        pthread_join(workers[i], NULL);
    for (int i = 0; i < order_count; i++)
        failed |= print_order(&orders[i]);
    free(orders);
    curl_global_cleanup();
    return failed;
}
