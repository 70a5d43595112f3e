/* What a preload adds to starting and ending a program: runs one program again and again, in turn
 * bare and preloaded, and prints the medians as "name value" lines. Itself never preloaded; one
 * thread. The children get the environment as it is, their standard output goes to /dev/null.
 * Usage: spawn [-n pairs] -l LIBRARY PROGRAM [argument...] */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* Microseconds from before the start to after the end, or -1 when the program did not end well. */
static double run_once(char **argv, char **environment, const posix_spawn_file_actions_t *actions)
{
    pid_t pid;
    int status;
    double begin = now_us();
    int error = posix_spawnp(&pid, argv[0], actions, NULL, argv, environment);
    if (error) {
        fprintf(stderr, "spawn: %s: %s\n", argv[0], strerror(error));
        return -1;
    }
    if (waitpid(pid, &status, 0) != pid || status != 0) {
        fprintf(stderr, "spawn: %s ended with wait status %d\n", argv[0], status);
        return -1;
    }
    return now_us() - begin;
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof(*values), compare);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

/* The environment of this process with LD_PRELOAD in front; the caller's to free. */
static char **environment_with(const char *library)
{
    size_t count = 0;
    while (environ[count])
        count++;
    char **environment = calloc(count + 2, sizeof(*environment));
    if (!environment || asprintf(&environment[0], "LD_PRELOAD=%s", library) < 0) {
        free(environment);
        return NULL;
    }
    memcpy(environment + 1, environ, count * sizeof(*environment));
    return environment;
}

static int measure(int pairs, char **argv, char **preloaded)
{
    int result = 1;
    double *bare_us = calloc((size_t)pairs, sizeof(double));
    double *preload_us = calloc((size_t)pairs, sizeof(double));
    double *added_us = calloc((size_t)pairs, sizeof(double));
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    if (!bare_us || !preload_us || !added_us)
        goto cleanup;
    for (int i = -3; i < pairs; i++) { /* the first three warm the caches */
        double bare = run_once(argv, environ, &actions);
        double preload = run_once(argv, preloaded, &actions);
        if (bare < 0 || preload < 0)
            goto cleanup;
        if (i < 0)
            continue;
        bare_us[i] = bare;
        preload_us[i] = preload;
        added_us[i] = preload - bare;
    }
    printf("bare_us %.1f\n", median(bare_us, pairs));
    printf("preload_us %.1f\n", median(preload_us, pairs));
    printf("added_us %.1f\n", median(added_us, pairs));
    result = 0;
cleanup:
    posix_spawn_file_actions_destroy(&actions);
    free(bare_us);
    free(preload_us);
    free(added_us);
    return result;
}

int main(int argc, char **argv)
{
    int pairs = 100;
    const char *library = NULL;
    int option;
    while ((option = getopt(argc, argv, "+n:l:")) != -1) {
        if (option == 'n')
            pairs = atoi(optarg);
        else if (option == 'l')
            library = optarg;
        else
            return 2;
    }
    if (!library || optind == argc || pairs < 1) {
        fprintf(stderr, "usage: spawn [-n pairs] -l LIBRARY PROGRAM [argument...]\n");
        return 2;
    }
    char **preloaded = environment_with(library);
    if (!preloaded)
        return 1;
    int result = measure(pairs, argv + optind, preloaded);
    free(preloaded[0]);
    free(preloaded);
    return result;
}
