import Ext2
import Ext2Format
import Support
import Testing
import Workload

extension Kernel {
  /// Why the kernel cannot be a judge of attributes here; nil when it can.
  static let attributeObstacle: String? =
    obstacle
    ?? (["setfattr", "getfattr", "setfacl", "getfacl"].allSatisfy { ExternalTool($0) != nil }
      ? nil : "the packages attr and acl are needed")
}

/// Attributes and ACLs in both directions: what the kernel, mke2fs and we write, each read by the others.
@Suite(
  "Attributes and the kernel's ext2",
  .enabled(if: Kernel.attributeObstacle == nil, "\(Kernel.attributeObstacle ?? "")"))
struct AttributeKernelTests {
  static let values: [(name: String, value: [UInt8])] = [
    ("security.s", Array(0..<20)), ("trusted.t", [0xFF, 0]), ("user.a", [1, 2, 3]), ("user.empty", []),
    ("user.large", stamped(3, count: 200)), ("user.é", [9]),
  ]
  static let acl = "u::7,u:1000:6,g::4,g:50:1,m::6,o::0"

  private static func hex(_ bytes: [UInt8]) -> String {
    "0x" + bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }

  /// What getfattr shows of all attributes, but for ACLs.
  private static func shown(_ path: String) throws -> Set<String> {
    let output = try Kernel.run("getfattr", ["-d", "-m", "-", "-e", "hex", "--absolute-names", path])
    return Set(
      output.split(separator: "\n").map(String.init).filter { !$0.hasPrefix("#") && !$0.contains("posix_acl") })
  }

  /// The same of values.
  private static func expected(_ values: [(name: String, value: [UInt8])]) -> Set<String> {
    Set(values.map { "\($0.name)=\(hex($0.value))" })
  }

  private static func acl(_ path: String) throws -> String {
    try Kernel.run("getfacl", ["-pncE", path]).split(separator: "\n").map { "\($0)\n" }.joined()
  }

  @Test(
    "the kernel reads attributes and ACLs that we wrote, changes them, and we read that", arguments: [128, 256],
    [1024, 4096])
  func weWrite(inodeSize: Int, blockSize: Int) throws {
    let image = try Images.prepared(try Attributes.image(inodeSize, blockSize: blockSize)) { rig in
      for name in ["f", "g"] {
        let inode = try await rig.create(name)
        for (name, value) in Self.values { try await rig.mustSet(name, value, inode) }
        try await rig.mustSet("system.posix_acl_access", try Attributes.transferred(Self.acl), inode)
      }
      try await rig.mustSet("system.posix_acl_default", try Attributes.transferred(Self.acl), .root)
    }
    #expect(try Images.check(image) == nil)
    let changed = try Kernel.mounted(image) { folder in
      let text = try AccessControlList(text: Self.acl).description
      for name in ["f", "g"] {
        #expect(try Self.shown("\(folder)/\(name)") == Self.expected(Self.values))
        #expect(try Self.acl("\(folder)/\(name)") == text)
        #expect(try Kernel.run("stat", ["-c", "%a", "\(folder)/\(name)"]) == "760\n")
      }
      #expect(
        try Self.acl(folder)
          == "user::rwx\ngroup::r-x\nother::r-x\n" + text.split(separator: "\n").map { "default:\($0)\n" }.joined())
      try Kernel.run("setfattr", ["-n", "user.a", "-v", "changed", "\(folder)/f"])
      try Kernel.run("setfattr", ["-x", "user.large", "\(folder)/f"])
      try Kernel.run("setfattr", ["-n", "user.new", "-v", "0x00ff", "\(folder)/f"])
      try Kernel.run("chmod", ["701", "\(folder)/g"])
      // It inherits from the default ACL that we gave the root.
      try Kernel.write([1], to: "\(folder)/heir")
    }
    #expect(try Images.check(changed) == nil)
    try script(changed, seeds: 0..<1) { rig in
      var expected = Dictionary(Self.values.map { ($0.name, $0.value) }) { first, _ in first }
      let access = "system.posix_acl_access"
      let f = Made(path: "f", inode: 0), g = Made(path: "g", inode: 0)
      expected[access] = try Attributes.transferred("u::7,u:1000:6,g::4,g:50:1,m::0,o::1")
      #expect(try await rig.attributes(g) == expected)
      #expect(try await rig.volume.status(of: "g").permissions == 0o701)
      expected[access] = try Attributes.transferred(Self.acl)
      expected["user.a"] = Array("changed".utf8)
      expected["user.large"] = nil
      expected["user.new"] = [0, 0xFF]
      #expect(try await rig.attributes(f) == expected)
      let heir = try await rig.create("heir")
      #expect(
        try await rig.attributes(heir) == [access: try Attributes.transferred("u::6,u:1000:6,g::4,g:50:1,m::0,o::0")])
    }
  }

  @Test("we read what the kernel wrote, share and change it, and it reads that", arguments: [128, 256], [1024, 4096])
  func kernelWrites(inodeSize: Int, blockSize: Int) throws {
    let image = try Kernel.mounted(try Attributes.image(inodeSize, blockSize: blockSize)) { folder in
      for name in ["f", "g"] {
        try Kernel.write([], to: "\(folder)/\(name)")
        for (attribute, value) in Self.values {
          try Kernel.run("setfattr", ["-n", attribute, "-v", Self.hex(value), "\(folder)/\(name)"])
        }
        try Kernel.run("setfacl", ["-m", Self.acl, "\(folder)/\(name)"])
      }
      try Kernel.run("setfacl", ["-d", "-m", Self.acl, folder])
    }
    #expect(try Images.check(image) == nil)
    let outcome = VolumeRig.run(image) { rig in
      let f = try await rig.create("f"), g = try await rig.create("g")
      var expected = Dictionary(Self.values.map { ($0.name, $0.value) }) { first, _ in first }
      expected["system.posix_acl_access"] = try Attributes.transferred(Self.acl)
      #expect(try await rig.attributes(f) == expected)
      #expect(try await rig.attributes(g) == expected)
      #expect(try await rig.attributes(.root) == ["system.posix_acl_default": try Attributes.transferred(Self.acl)])
      #expect(try await rig.volume.status(of: "f").permissions == 0o760)
      #expect(await rig.set("user.large", [5], f) == nil)
      #expect(await rig.remove("trusted.t", f) == nil)
      // The new file has what the other has, and shares its block.
      let h = try await rig.create("h")
      for (name, value) in expected.sorted(by: { $0.key < $1.key }) { #expect(await rig.set(name, value, h) == nil) }
      #expect(try await rig.attributes(h) == expected)
    }
    #expect(outcome.failures == [] && outcome.unmountError == nil)
    #expect(try Images.check(outcome.image) == nil)
    try Kernel.mounted(outcome.image) { folder in
      let text = try AccessControlList(text: Self.acl).description
      #expect(try Self.shown("\(folder)/g") == Self.expected(Self.values))
      #expect(try Self.shown("\(folder)/h") == Self.expected(Self.values))
      #expect(try Self.acl("\(folder)/h") == text)
      let others = Self.values.filter { $0.name != "trusted.t" && $0.name != "user.large" } + [("user.large", [5])]
      #expect(try Self.shown("\(folder)/f") == Self.expected(others))
    }
  }

  @Test("a tree that mke2fs -d copied has its attributes and ACLs", arguments: [128, 256])
  func copied(inodeSize: Int) throws {
    // The source is on an ext2 of the kernel's, which has all kinds of attributes.
    var image: [UInt8] = []
    try Kernel.mounted(try Attributes.image(256)) { folder in
      try Kernel.write([1], to: "\(folder)/f")
      for (attribute, value) in Self.values {
        try Kernel.run("setfattr", ["-n", attribute, "-v", Self.hex(value), "\(folder)/f"])
      }
      try Kernel.run("setfacl", ["-m", Self.acl, "\(folder)/f"])
      try Kernel.run("mkdir", ["\(folder)/d"])
      try Kernel.run("setfacl", ["-d", "-m", Self.acl, "\(folder)/d"])
      image = try Images.make(
        blockSize: 1024, byteCount: 1 << 20, options: ["-I", "\(inodeSize)", "-d", folder])
    }
    try script(image, seeds: 0..<1) { rig in
      var expected = Dictionary(Self.values.map { ($0.name, $0.value) }) { first, _ in first }
      expected["system.posix_acl_access"] = try Attributes.transferred(Self.acl)
      let f = try await rig.create("f")
      #expect(try await rig.attributes(f) == expected)
      let folder = try await rig.attributes(Made(path: "d", inode: 0))
      #expect(folder == ["system.posix_acl_default": try Attributes.transferred(Self.acl)])
      #expect(await rig.set("user.a", [4], f) == nil)
    }
  }
}
