/* A module with a function of its own that is named like one of libc's. */
int poll(void *fds, unsigned long count, int timeout);

int poll(void *fds, unsigned long count, int timeout)
{
    (void)fds;
    (void)count;
    (void)timeout;
    return 4711;
}
