import Support
import Testing

@Suite("toy")
struct ToyTests {
  @Test("a file that is written and synced is on the disk") func smoke() {
    let failures = simulate { volume in
      let handle = volume.open(0)
      try await volume.write(0, at: 0, count: 3000)
      try await volume.fsync(handle)
      try await volume.truncate(0, to: 700)
      try await volume.fsync(handle)
      try await volume.read(0, at: 0, count: 3000)
    }
    #expect(failures == [])
  }
}
