/* python3.dll: what it offers stands in a list of names beside it; it does nothing itself. */
int start(void *library, unsigned reason, void *reserved) {
    (void)library;
    (void)reason;
    (void)reserved;
    return 1;
}
