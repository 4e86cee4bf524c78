import Testing
import Workload

@Suite("Jobs as a script")
struct JobScriptTests {
  private static func lines(_ text: String) throws -> [String] {
    let plan = try WorkloadPlan(RunArguments(["x.fio"]), files: [JobFile(path: "x.fio", text: text)])
    return try JobScript(plan.seeded(with: 3)).lines
  }

  @Test("jobs take turns, and fsync where they are told to")
  func turns() throws {
    let lines = try Self.lines(
      "[global]\ntarget=fs\nrw=write\nbs=1k\n[a]\nsize=3k\nfsync=2\n[b]\nsize=2k\nfdatasync=1\nend_fsync=1\n")
    #expect(
      lines == [
        "fill -o 0 -l 1024 -s 1 /a.0.0", "fill -o 0 -l 1024 -s 2 /b.0.0", "fsync -d /b.0.0",
        "fill -o 1024 -l 1024 -s 3 /a.0.0", "fsync /a.0.0", "fill -o 1024 -l 1024 -s 4 /b.0.0", "fsync -d /b.0.0",
        "fsync /b.0.0", "fill -o 2048 -l 1024 -s 5 /a.0.0",
      ])
  }

  @Test("random writes touch each block once, and the seed decides in which order")
  func random() throws {
    let text = "[a]\ntarget=fs\nrw=randwrite\nbs=1k\nsize=8k\nfilename=a b\n"
    let lines = try Self.lines(text)
    let again = try Self.lines(text)
    #expect(lines == again)
    #expect(Set(lines.map { $0.split(separator: " ")[2] }) == Set((0..<8).map { Substring("\($0 * 1024)") }))
    #expect(lines != lines.sorted() && lines.allSatisfy { $0.hasSuffix(" '/a b'") })
  }

  @Test("what is read is there before, durably, and reading leaves no line; a mix keeps to its files' sizes")
  func mixes() throws {
    let lines = try Self.lines("[a]\ntarget=fs\nrw=randread\nbs=1k\nsize=4k\n")
    #expect(lines == ["fill -o 0 -l 4096 -s 1 /a.0.0", "sync"])
    let mixed = try Self.lines("[a]\ntarget=fs\nfs_ops=append:4,truncate:1,fsync:1,write:2\nbs=1k\nsize=64k\n")
    #expect(mixed.contains { $0.hasPrefix("truncate -s ") } && mixed.contains("fsync /a.0.0"))
    #expect(mixed.count > 32 && !mixed.contains("sync"))
  }

  @Test("files come, go and get other names, and no line names one that is not there")
  func names() throws {
    let lines = try Self.lines(
      "[a]\ntarget=fs\nnrfiles=4\nsize=400k\nbs=1k\n"
        + "fs_ops=create:2,append:3,write:1,truncate:1,fsync:1,rename:2,unlink:2\nend_fsync=1\n")
    #expect(lines[..<5] == ["touch /a.0.0", "touch /a.0.1", "touch /a.0.2", "touch /a.0.3", "sync"])
    var there: Set<Substring> = [], seen: Set<Substring> = []
    for words in lines.map({ $0.split(separator: " ") }) {
      let name = words[words.count - 1]
      seen.insert(words[0])
      switch words[0] {
      case "touch": #expect(there.insert(name).inserted, "\(words)")
      case "rm": #expect(there.remove(name) != nil, "\(words)")
      case "mv":
        #expect(there.remove(words[1]) != nil, "\(words)")
        #expect(there.insert(name).inserted, "\(words)")
      case "sync": break
      default: #expect(there.contains(name), "\(words)")
      }
    }
    #expect(seen == ["touch", "sync", "rm", "mv", "fill", "truncate", "fsync"])
    #expect(there.isSubset(of: ["/a.0.0", "/a.0.1", "/a.0.2", "/a.0.3"]))
  }

  @Test("jobs on devices, without a size or by time are refused")
  func refused() throws {
    for text in [
      "[a]\nrw=write\nsize=1m\nfilename=x\n",
      "[a]\ntarget=fs\nrw=write\nsize=1m\nruntime=3\ntime_based=1\n",
    ] { #expect(throws: RunError.self, "\(text)") { try Self.lines(text) } }
  }
}
