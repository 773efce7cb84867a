/* python.exe for Windows: hands its words over to Py_Main of pythonXY.dll. Needs no C library. */
typedef unsigned short word;
__declspec(dllimport) void *LoadLibraryW(const word *);
__declspec(dllimport) void *GetProcAddress(void *, const char *);
__declspec(dllimport) word *GetCommandLineW(void);
__declspec(dllimport) word **CommandLineToArgvW(const word *, int *);
__declspec(dllimport) void ExitProcess(unsigned);

void start(void) {
    int count;
    word **words = CommandLineToArgvW(GetCommandLineW(), &count);
    void *python = LoadLibraryW(LIBRARY);
    int (*run)(int, word **) = python ? (int (*)(int, word **))GetProcAddress(python, "Py_Main") : 0;
    ExitProcess(run ? run(count, words) : 127);
}
