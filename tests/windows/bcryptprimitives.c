/* bcryptprimitives.dll, which Wine 8 lacks: programs in Rust, as pydantic's, take their random numbers from it. */
__declspec(dllimport) unsigned char SystemFunction036(void *, unsigned long); /* RtlGenRandom */
__declspec(dllexport) int ProcessPrng(unsigned char *bytes, unsigned long long count) { return SystemFunction036(bytes, (unsigned long)count); }
int start(void *library, unsigned reason, void *reserved) {
    (void)library;
    (void)reason;
    (void)reserved;
    return 1;
}
