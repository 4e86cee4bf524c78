import Glibc
import Support
import SystemPackage
import Testing
import Workload

/// Volumes to damage: small, made by mke2fs, with files of every kind, pointer blocks of every depth, indexed directories
/// and attributes.
struct CheckImage: Sendable, CustomTestStringConvertible {
  let name: String
  let blockSize: Int
  let byteCount: Int
  let options: [String]
  /// Names of the directory that gets an index, each as long as a name may be.
  var indexedNames = 0
  var hasTripleIndirect = true
  /// How directories hash, where it is not the usual way: commands of debugfs.
  var hashing: [String] = []

  var testDescription: String { name }

  /// One of each block size, and of each feature of ext2.
  static let all: [CheckImage] = [
    CheckImage(name: "1k", blockSize: 1024, byteCount: 1 << 20, options: ["-N", "96"], indexedNames: 40),
    CheckImage(
      name: "1k-deep", blockSize: 1024, byteCount: 1 << 20, options: ["-N", "48", "-I", "128"], indexedNames: 470),
    CheckImage(
      name: "1k-groups", blockSize: 1024, byteCount: 1 << 20, options: ["-g", "256", "-N", "96"], indexedNames: 20),
    CheckImage(
      name: "1k-all-supers", blockSize: 1024, byteCount: 1 << 20,
      options: ["-g", "256", "-N", "96", "-O", "^sparse_super,^resize_inode,^dir_index"]),
    CheckImage(
      name: "1k-meta-groups", blockSize: 1024, byteCount: 2 << 20,
      options: ["-g", "256", "-N", "128", "-O", "meta_bg,^resize_inode"], indexedNames: 20),
    CheckImage(
      name: "1k-revision-0", blockSize: 1024, byteCount: 1 << 20, options: ["-r", "0", "-N", "64"],
      hasTripleIndirect: false),
    CheckImage(
      name: "1k-plain", blockSize: 1024, byteCount: 1 << 20,
      options: ["-N", "64", "-O", "none,sparse_super,large_file", "-I", "128"]),
    CheckImage(
      name: "1k-ragged", blockSize: 1024, byteCount: 1023 << 10, options: ["-g", "264", "-N", "80"],
      indexedNames: 20),
    CheckImage(
      name: "1k-journal", blockSize: 1024, byteCount: 3 << 20,
      options: ["-N", "64", "-O", "has_journal", "-J", "size=1"]),
    CheckImage(name: "2k", blockSize: 2048, byteCount: 1 << 20, options: ["-N", "64"], indexedNames: 40),
    CheckImage(
      name: "2k-tea-unsigned", blockSize: 2048, byteCount: 1 << 20, options: ["-N", "64"], indexedNames: 60,
      hasTripleIndirect: false, hashing: ["ssv def_hash_version tea", "ssv flags 2"]),
    CheckImage(
      name: "2k-half-md4-unsigned", blockSize: 2048, byteCount: 1 << 20, options: ["-N", "64"], indexedNames: 60,
      hasTripleIndirect: false, hashing: ["ssv flags 2"]),
    CheckImage(
      name: "2k-legacy-unsigned", blockSize: 2048, byteCount: 1 << 20, options: ["-N", "64"], indexedNames: 60,
      hasTripleIndirect: false, hashing: ["ssv def_hash_version legacy", "ssv flags 2"]),
    CheckImage(
      name: "2k-legacy", blockSize: 2048, byteCount: 1 << 20, options: ["-N", "64"], indexedNames: 60,
      hasTripleIndirect: false, hashing: ["ssv def_hash_version legacy", "ssv flags 1"]),
    CheckImage(name: "4k", blockSize: 4096, byteCount: 2 << 20, options: ["-N", "64"], indexedNames: 60),
    CheckImage(
      name: "4k-groups", blockSize: 4096, byteCount: 4 << 20, options: ["-g", "256", "-N", "128"], indexedNames: 60),
    CheckImage(name: "8k", blockSize: 8192, byteCount: 2 << 20, options: ["-N", "64"], indexedNames: 100),
    CheckImage(name: "16k", blockSize: 16384, byteCount: 4 << 20, options: ["-N", "64"], indexedNames: 200),
    CheckImage(name: "32k", blockSize: 32768, byteCount: 8 << 20, options: ["-N", "128"], indexedNames: 400),
    CheckImage(
      name: "64k", blockSize: 65536, byteCount: 16 << 20, options: ["-N", "256"], indexedNames: 800,
      hasTripleIndirect: false),
  ]

  /// Makes the volume; e2fsck finds nothing wrong with it.
  func make() throws -> [UInt8] {
    // Several tests make the same image at a time.
    let tree = try TemporaryFile.make([])
    TemporaryFile.remove(tree)
    try fill(tree)
    defer { _ = ExternalTool("rm")?.run(["-rf", tree]) }
    var image = try Images.make(
      blockSize: blockSize, byteCount: byteCount, options: ["-m", "1", "-d", tree] + options)
    image = try Images.edited(image, attributes + hashing)
    if indexedNames > 0 { image = try Images.rebuilt(image) }
    if let complaint = try Images.check(image) { throw Images.Failure(output: "\(name): \(complaint)") }
    return image
  }

  /// Files of every kind in a folder of this machine.
  private func fill(_ tree: String) throws {
    func run(_ command: String) throws {
      guard let outcome = ExternalTool("sh")?.run(["-c", "set -e; cd \(tree); " + command]), outcome.exitCode == 0
      else {
        throw Images.Failure(output: "sh: \(command.prefix(200))")
      }
    }
    _ = unsafe mkdir(tree, 0o755)
    let pointers = blockSize / 4
    var deep = [0, 3, 12, 12 + pointers - 1, 12 + pointers, 12 + pointers + 5]
    if hasTripleIndirect { deep.append(12 + pointers + pointers * pointers) }
    let writes = deep.map { "printf x | dd of=deep bs=\(blockSize) seek=\($0) conv=notrunc status=none" }
    try run(
      """
      printf 'small' > small; : > empty; head -c \(blockSize * 3 + 100) /dev/zero | tr '\\0' 'z' > three
      head -c \(blockSize * 14) /dev/zero | tr '\\0' 'y' > indirect
      \(writes.joined(separator: "\n"))
      ln small hard; ln small another-hard; ln -s target short-link
      ln -s \(String(repeating: "long/", count: 30)) long-link
      ln -s \(String(repeating: "m", count: 59)) edge-link; ln -s \(String(repeating: "n", count: 60)) next-link
      mkfifo pipe; mknod character c 5 1; mknod block b 259 70000
      mkdir -p d/e/f g; printf a > d/a; printf b > d/e/b; printf c > d/e/f/c
      """)
    if indexedNames > 0 {
      try run(
        """
        mkdir many; cd many; printf q > q
        for i in $(seq \(indexedNames)); do ln q $(printf '%0253d\\303\\274' $i); done
        """)
    }
  }

  /// Attributes: in the inode, where there is room, and in a block.
  private var attributes: [String] {
    if options.contains("-r") || options.contains(where: { $0.hasPrefix("none") }) { return [] }
    return [
      "ea_set small user.short value", "ea_set three user.first \(String(repeating: "v", count: 150))",
      "ea_set three user.second \(String(repeating: "w", count: 99))", "ea_set d user.on-a-directory yes",
      "ea_set indirect user.one \(String(repeating: "1", count: 200))",
      "ea_set indirect user.two \(String(repeating: "2", count: 80))", "ea_set pipe user.p 1",
    ]
  }
}

extension Mutation {
  /// The one that a failure names: `image:offset:width:value`. Nil for one of another image.
  init?(_ text: String, of image: CheckImage) {
    let parts = text.split(separator: ":").map { String($0) }
    guard parts.count == 4, parts[0] == image.name, let offset = Int(parts[1]), let width = Int(parts[2]),
      let value = UInt64(parts[3])
    else { return nil }
    self.init(offset: offset, width: width, value: value, what: "")
  }
}
