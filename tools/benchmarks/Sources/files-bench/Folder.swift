internal import CSyncFS
internal import Glibc
internal import Reactor

/// What went wrong in a folder, and errno.
struct FolderError: Error {
  let step: String
  let errno: Int32
}

func runFolder(_ folder: String, _ work: String, _ count: Int) throws {
  guard unsafe chdir(folder) == 0 else { throw FolderError(step: "chdir", errno: errno) }
  if isTimed(work) { try warmUp() }
  switch work {
  case "write":
    let piece = [UInt8](repeating: 0xA5, count: 128 << 10)
    try measure("write") {
      let file = try open("big", O_RDWR | O_CREAT)
      for index in 0..<2048 { try pwrite(file, piece, index << 17) }
      try check(fsync(file), "fsync")
      close(file)
    }
  case "read":
    var buffer = [UInt8](repeating: 0, count: 128 << 10)
    try measure("read") {
      let file = try open("big", O_RDONLY)
      while case let count = unsafe Glibc.read(file, &buffer, buffer.count), count > 0 {}
      close(file)
    }
  case "overwrite":
    let file = try open("random", O_RDWR | O_CREAT)
    let piece = [UInt8](repeating: 0x5A, count: 1 << 20)
    for index in 0..<64 { try pwrite(file, piece, index << 20) }
    try check(fsync(file), "fsync")
    let pages = overwrittenPages(), block = [UInt8](repeating: 0xC3, count: 4096)
    try measure("overwrite") {
      for page in pages { try pwrite(file, block, page << 12) }
      try check(fsync(file), "fsync")
    }
    close(file)
  case "create":
    let block = [UInt8](repeating: 0x3C, count: 4096)
    try measure("create") {
      for index in 0..<100 { try check(unsafe mkdir("d\(index)", 0o755), "mkdir") }
      for index in 0..<10_000 {
        let file = try open("d\(index % 100)/f\(index)", O_WRONLY | O_CREAT)
        try pwrite(file, block, 0)
        close(file)
      }
      try synchronize()
    }
    try measure("unlink") {
      for index in 0..<10_000 { try check(unsafe Glibc.unlink("d\(index % 100)/f\(index)"), "unlink") }
      try synchronize()
    }
  case "names":
    try check(unsafe mkdir("many", 0o755), "mkdir")
    try measure("make") {
      for index in 0..<count { close(try open("many/file-\(index)", O_WRONLY | O_CREAT)) }
      try synchronize()
    }
    var random = SeededGenerator(seed: 7)
    let paths = (0..<100_000).map { _ in "many/file-\(random.below(count))" }
    var status = stat()
    for path in paths { try check(unsafe stat(path, &status), "stat") }
    try measure("lookup") { for path in paths { try check(unsafe stat(path, &status), "stat") } }
  default:
    let block = [UInt8](repeating: 0x11, count: 4096)
    let files = try (0..<100).map { try open("robin\($0)", O_WRONLY | O_CREAT | O_APPEND) }
    for _ in 0..<256 { for file in files { try check(Int32(unsafe Glibc.write(file, block, block.count) - 4096), "write") } }
    try synchronize()
  }
}

private func warmUp() throws {
  let file = try open("warm", O_RDWR | O_CREAT)
  let piece = [UInt8](repeating: 0, count: 1 << 20)
  for index in 0..<warmUpPieces { try pwrite(file, piece, index << 20) }
  try check(fsync(file), "fsync")
  close(file)
  try check(unsafe Glibc.unlink("warm"), "unlink")
  try synchronize()
}

private func measure(_ name: String, _ body: () throws -> Void) throws {
  var begun = timespec(), ended = timespec()
  unsafe clock_gettime(CLOCK_MONOTONIC, &begun)
  try body()
  unsafe clock_gettime(CLOCK_MONOTONIC, &ended)
  print(name, Double(ended.tv_sec - begun.tv_sec) + Double(ended.tv_nsec - begun.tv_nsec) / 1e9)
}

private func check(_ result: Int32, _ step: String) throws {
  if result != 0 { throw FolderError(step: step, errno: errno) }
}

private func open(_ path: String, _ flags: Int32) throws -> Int32 {
  let file = unsafe Glibc.open(path, flags | O_CLOEXEC, 0o644)
  if file < 0 { throw FolderError(step: "open \(path)", errno: errno) }
  return file
}

private func pwrite(_ file: Int32, _ bytes: [UInt8], _ offset: Int) throws {
  let count = unsafe Glibc.pwrite(file, bytes, bytes.count, offset)
  if count != bytes.count { throw FolderError(step: "pwrite", errno: errno) }
}

/// syncfs of the folder.
private func synchronize() throws {
  let folder = try open(".", O_RDONLY)
  try check(cb_syncfs(folder), "syncfs")
  close(folder)
}
